// The console with JDBC: what it sets when it connects, named statements, fetch sizes, transactions.

import java.math.BigDecimal;
import java.net.URI;
import java.sql.*;

public class ConsoleJdbc {
    static void same(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    /** What stands in a column of the row that has this text in another. */
    static Object value(Connection conn, String show, String key, String text, String column) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement(show); ResultSet rows = statement.executeQuery()) {
            while (rows.next()) {
                if (text.equals(rows.getString(key))) {
                    return rows.getObject(column);
                }
            }
        }
        throw new AssertionError(show + " has no " + text);
    }

    static void talk(Connection conn) throws SQLException {
        same(conn.isValid(5), true);
        same(conn.getTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
        try (Statement statement = conn.createStatement()) {
            statement.executeUpdate("SUSPEND TENANT jdbc");
            try {
                statement.executeQuery("SHOW ME");
                throw new AssertionError("no error");
            } catch (SQLException error) {
                same(error.getSQLState(), "42601");
            }
        }
        // From the fifth on it is a named statement, and numbers come in binary form.
        try (PreparedStatement show = conn.prepareStatement("SHOW TENANT jdbc")) {
            for (int i = 0; i < 10; i++) {
                try (ResultSet rows = show.executeQuery()) {
                    rows.next();
                    same(rows.getString("name"), "jdbc");
                    same(rows.getBoolean("suspended"), true);
                    same(rows.getLong("refused"), 0L);
                    rows.getLong("burst");
                    same(rows.wasNull(), true);
                }
            }
        }
        // Of each type: integer, numeric, text.
        for (int i = 0; i < 10; i++) {
            same(value(conn, "SHOW LISTS", "list", "peers", "items"), 0);
            same(value(conn, "SHOW TOTALS", "name", "avg_wait_time", "value"), BigDecimal.ZERO);
            same(value(conn, "SHOW STATE", "key", "active", "value"), "yes");
        }
        try (Statement statement = conn.createStatement()) {
            statement.setFetchSize(3);
            try (ResultSet rows = statement.executeQuery("SHOW HELP")) {
                int count = 0;
                while (rows.next()) {
                    count++;
                }
                same(count > 3, true);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(System.getenv("DATABASE_URL"));
        String[] who = uri.getUserInfo().split(":");
        for (String more : new String[] {"", "&preferQueryMode=simple", "&autosave=always"}) {
            String url = String.format("jdbc:postgresql://%s:%d%s?user=%s&password=%s%s",
                uri.getHost(), uri.getPort(), uri.getPath(), who[0], who[1], more);
            try (Connection conn = DriverManager.getConnection(url)) {
                talk(conn);
                conn.setAutoCommit(false);
                talk(conn);
                conn.commit();
                talk(conn);
                conn.rollback();
            }
            System.out.println("ok      " + url.replaceAll(".*password=[^&]*", "jdbc "));
        }
    }
}
