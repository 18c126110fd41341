// JDBC: named statements of the server after five executions, batches, fetch sizes, COPY.

import java.io.StringReader;
import java.io.StringWriter;
import java.net.URI;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;

public class Jdbc {
    static final int CLIENTS = 20;
    static final int ROUNDS = 30;
    static String url;

    interface Check {
        void run() throws Exception;
    }

    static Connection connect() throws SQLException {
        return DriverManager.getConnection(url);
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static int number(Connection conn, String sql, int... values) throws SQLException {
        try (PreparedStatement statement = conn.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                statement.setInt(i + 1, values[i]);
            }
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getInt(1);
            }
        }
    }

    static void expectError(String state, Check check) throws Exception {
        try {
            check.run();
        } catch (SQLException error) {
            same(error.getSQLState(), state);
            return;
        }
        throw new AssertionError("no error " + state);
    }

    static void simpleAndParameterised() throws Exception {
        try (Connection conn = connect()) {
            for (int i = 0; i < ROUNDS; i++) {
                same(number(conn, "SELECT ?::int * 2", i), i * 2);
            }
            try (Statement statement = conn.createStatement()) {
                statement.execute("SELECT 1; SELECT 2");
            }
        }
    }

    static void transactions() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS jdbc (i int)");
            statement.execute("TRUNCATE jdbc");
            conn.setAutoCommit(false);
            statement.execute("INSERT INTO jdbc VALUES (1)");
            conn.rollback();
            statement.execute("INSERT INTO jdbc VALUES (2)");
            Savepoint savepoint = conn.setSavepoint();
            statement.execute("INSERT INTO jdbc VALUES (3)");
            conn.rollback(savepoint);
            conn.commit();
            same(number(conn, "SELECT sum(i) FROM jdbc"), 2);
            conn.commit();
        }
    }

    static void errorAndOn() throws Exception {
        try (Connection conn = connect()) {
            for (int i = 0; i < ROUNDS; i++) {
                expectError("22012", () -> number(conn, "SELECT 1 / ?::int", 0));
                expectError("42601", () -> number(conn, "SELECT FROM WHERE"));
                same(number(conn, "SELECT ?::int", i), i);
            }
        }
    }

    static void batches() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS jdbc_batch");
            statement.execute("CREATE TABLE jdbc_batch (i int PRIMARY KEY)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO jdbc_batch VALUES (?)")) {
                for (int i = 0; i < 5000; i++) {
                    insert.setInt(1, i);
                    insert.addBatch();
                }
                same(insert.executeBatch().length, 5000);
                insert.setInt(1, 7);
                insert.addBatch();
                expectError("23505", insert::executeBatch);
            }
            same(number(conn, "SELECT count(*) FROM jdbc_batch"), 5000);
        }
    }

    static void fetchSize() throws Exception {
        try (Connection conn = connect()) {
            conn.setAutoCommit(false);
            try (PreparedStatement query = conn.prepareStatement("SELECT generate_series(1, 1000)")) {
                query.setFetchSize(50);
                int sum = 0;
                try (ResultSet rows = query.executeQuery()) {
                    while (rows.next()) {
                        sum += rows.getInt(1);
                    }
                }
                same(sum, 500_500);
            }
            conn.commit();
        }
    }

    static void copy() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS jdbc_copy (i int)");
            statement.execute("TRUNCATE jdbc_copy");
            StringBuilder lines = new StringBuilder();
            for (int i = 0; i < 10_000; i++) {
                lines.append(i).append('\n');
            }
            var copy = conn.unwrap(PGConnection.class).getCopyAPI();
            same(copy.copyIn("COPY jdbc_copy FROM STDIN", new StringReader(lines.toString())), 10_000L);
            StringWriter out = new StringWriter();
            same(copy.copyOut("COPY jdbc_copy TO STDOUT", out), 10_000L);
        }
    }

    static void cancel() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            Timer timer = new Timer(true);
            timer.schedule(new TimerTask() {
                public void run() {
                    try {
                        statement.cancel();
                    } catch (SQLException ignored) {
                    }
                }
            }, 300);
            expectError("57014", () -> statement.execute("SELECT pg_sleep(15)"));
            same(number(conn, "SELECT 1"), 1);
        }
    }

    static void manyClients() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CLIENTS);
        List<Future<?>> all = new ArrayList<>();
        for (int client = 0; client < CLIENTS; client++) {
            int who = client;
            all.add(threads.submit(() -> {
                try (Connection conn = connect()) {
                    for (int i = 0; i < ROUNDS; i++) {
                        same(number(conn, "SELECT ?::int * 1000 + ?::int", who, i), who * 1000 + i);
                    }
                }
                return null;
            }));
        }
        for (Future<?> one : all) {
            one.get(20, TimeUnit.SECONDS);
        }
        threads.shutdown();
    }

    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(System.getenv("DATABASE_URL"));
        String[] who = uri.getUserInfo().split(":");
        url = String.format("jdbc:postgresql://%s:%d%s?user=%s&password=%s",
            uri.getHost(), uri.getPort(), uri.getPath(), who[0], who[1]);
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("simpleAndParameterised", Jdbc::simpleAndParameterised);
        checks.put("transactions", Jdbc::transactions);
        checks.put("errorAndOn", Jdbc::errorAndOn);
        checks.put("batches", Jdbc::batches);
        checks.put("fetchSize", Jdbc::fetchSize);
        checks.put("copy", Jdbc::copy);
        checks.put("cancel", Jdbc::cancel);
        checks.put("manyClients", Jdbc::manyClients);
        int failed = 0;
        for (var check : checks.entrySet()) {
            try {
                check.getValue().run();
                System.out.println("ok      " + check.getKey());
            } catch (Throwable error) {
                failed++;
                System.out.println("FAILED  " + check.getKey());
                error.printStackTrace();
            }
        }
        System.exit(failed > 0 ? 1 : 0);
    }
}
