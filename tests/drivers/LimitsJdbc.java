// JDBC and limits: each refusal is an error like any other, and the connection goes on.
// limits.py says which tiers there are.

import java.net.URI;
import java.sql.*;
import java.util.regex.*;
import org.postgresql.util.*;

public class LimitsJdbc {
    static final URI AT = URI.create(System.getenv("DATABASE_URL"));
    static final Pattern DETAIL = Pattern.compile(
        "limit=transactions_per_second per_second=1 burst=2 tenant=\\w+ retry_after_ms=(\\d+)");

    static void same(Object found, Object expected) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static Connection connect(String user, String path, String more) throws SQLException {
        String password = AT.getUserInfo().split(":")[1];
        return DriverManager.getConnection(String.format("jdbc:postgresql://%s:%d%s?user=%s&password=%s%s",
            AT.getHost(), AT.getPort(), path, user, password, more));
    }

    static Connection as(String tenant, String more) throws SQLException {
        return connect("app." + tenant, AT.getPath(), more);
    }

    static void console(String command) throws SQLException {
        try (Connection conn = connect("app", "/pgusher", ""); Statement statement = conn.createStatement()) {
            statement.executeUpdate(command);
        }
    }

    static void tier(String tenant, String name) throws SQLException {
        console("SET TENANT " + tenant + " tier = '" + name + "'");
    }

    interface Work {
        void run() throws SQLException;
    }

    static ServerErrorMessage told(Work work, String state) throws SQLException {
        try {
            work.run();
        } catch (SQLException error) {
            same(error.getSQLState(), state);
            SQLException one = error;
            while (!(one instanceof PSQLException)) {
                one = one.getNextException();
            }
            return ((PSQLException) one).getServerErrorMessage();
        }
        throw new AssertionError("not refused");
    }

    /** How many milliseconds to wait. */
    static long refused(Work work) throws SQLException {
        ServerErrorMessage message = told(work, "53400");
        same(message.getSeverity(), "ERROR");
        same(message.getHint().startsWith("Try again in "), true);
        Matcher detail = DETAIL.matcher(message.getDetail());
        same(detail.matches(), true);
        return Long.parseLong(detail.group(1));
    }

    static void one(Connection conn) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement("SELECT ?::int")) {
            statement.setInt(1, 7);
            ResultSet rows = statement.executeQuery();
            rows.next();
            same(rows.getInt(1), 7);
        }
    }

    static void statements(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more);
                PreparedStatement prepared = conn.prepareStatement("SELECT ?::int")) {
            // A statement of the server by now.
            for (int i = 0; i < 10; i++) {
                prepared.setInt(1, i);
                prepared.executeQuery();
            }
            tier(tenant, "slow");
            for (int i = 0; i < 2; i++) {
                one(conn);
            }
            long millis = 0;
            for (int i = 0; i < 5; i++) {
                millis = refused(() -> one(conn));
                millis = refused(prepared::executeQuery);
                same(conn.isClosed(), false);
            }
            Thread.sleep(millis + 1);
            prepared.executeQuery();
        }
    }

    static void transactions(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more)) {
            conn.setAutoCommit(false);
            tier(tenant, "slow");
            for (int i = 0; i < 50; i++) {
                one(conn);
            }
            conn.commit();
            one(conn);
            conn.commit();
            long millis = 0;
            for (int i = 0; i < 3; i++) {
                // The driver's BEGIN goes in the same batch.
                millis = refused(() -> one(conn));
                conn.rollback();
            }
            Thread.sleep(millis + 1);
            one(conn);
            conn.commit();
        }
    }

    static void batches(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more); Statement statement = conn.createStatement()) {
            statement.executeUpdate("CREATE TEMP TABLE batch (n int)");
            tier(tenant, "slow");
            one(conn);
            one(conn);
            PreparedStatement insert = conn.prepareStatement("INSERT INTO batch VALUES (?)");
            Work batch = () -> {
                insert.clearBatch();
                for (int i = 0; i < 300; i++) {
                    insert.setInt(1, i);
                    insert.addBatch();
                }
                insert.executeBatch();
            };
            ServerErrorMessage message = told(batch, "53400");
            Matcher detail = DETAIL.matcher(message.getDetail());
            same(detail.matches(), true);
            Thread.sleep(refused(() -> one(conn)) + 1);
            one(conn);
        }
    }

    static void suspended(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more)) {
            one(conn);
            console("SUSPEND TENANT " + tenant);
            for (int i = 0; i < 3; i++) {
                ServerErrorMessage message = told(() -> one(conn), "42501");
                same(message.getMessage(), "tenant \"" + tenant + "\" is suspended");
                same(message.getDetail().contains("resumes it"), true);
            }
            ServerErrorMessage message = told(() -> as(tenant, more).close(), "42501");
            same(message.getSeverity(), "FATAL");
            console("RESUME TENANT " + tenant);
            one(conn);
        }
    }

    static void clients(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more)) {
            tier(tenant, "alone");
            ServerErrorMessage message = told(() -> as(tenant, more).close(), "53300");
            same(message.getSeverity(), "FATAL");
            same(message.getMessage(), "too many connections for tenant \"" + tenant + "\"");
            one(conn);
        }
    }

    static void expelled(String tenant, String more) throws Exception {
        try (Connection conn = as(tenant, more)) {
            one(conn);
            console("KILL TENANT " + tenant);
            told(() -> one(conn), "57P01");
            same(conn.isClosed(), true);
        }
        as(tenant, more).close();
    }

    public static void main(String[] arguments) throws Exception {
        int nth = 0;
        for (String more : new String[] {"", "&preferQueryMode=simple", "&autosave=always"}) {
            nth++;
            statements("jdbc_statements" + nth, more);
            transactions("jdbc_blocks" + nth, more);
            batches("jdbc_batches" + nth, more);
            suspended("jdbc_off" + nth, more);
            clients("jdbc_alone" + nth, more);
            expelled("jdbc_killed" + nth, more);
            System.out.println("ok      limits" + more);
        }
    }
}
