// JDBC and tenants: through the URL, through SET, through a comment.

import java.io.StringReader;
import java.net.URI;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;

public class TenantsJdbc {
    static final Map<String, Integer> SUMS = new TreeMap<>(Map.of("acme", 6, "globex", 30));
    static final String SUM = "SELECT sum(n) FROM orders";
    static final String FOREIGN = "INSERT INTO orders VALUES ('initech', 0)";
    static String base, password;

    interface Check {
        void run() throws Exception;
    }

    // The URL, whose parameters may hold an escaped blank and equals sign.
    static String url(String user, String more) {
        return base + "?user=" + user + "&password=" + password + more;
    }

    static List<String> urls(String tenant) {
        List<String> all = new ArrayList<>();
        for (String mode : List.of("", "&preferQueryMode=simple", "&preferQueryMode=extendedCacheEverything",
                "&prepareThreshold=1", "&autosave=always")) {
            all.add(url("app", "&options=-c%20app.tenant_id%3D" + tenant + mode));
        }
        all.add(url("app." + tenant, ""));
        return all;
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("expected " + expected + ", found " + found);
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

    static int seen(Connection conn, String sql) throws SQLException {
        try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getInt(1);
        }
    }

    static int bound(PreparedStatement statement, int value) throws SQLException {
        statement.setInt(1, value);
        try (ResultSet rows = statement.executeQuery()) {
            rows.next();
            return rows.getInt(1);
        }
    }

    static void run(Connection conn, String sql) throws SQLException {
        try (Statement statement = conn.createStatement()) {
            statement.execute(sql);
        }
    }

    // What works on a connection that has its tenant.
    static void work(Connection conn, String tenant) throws Exception {
        int own = SUMS.get(tenant);
        try (PreparedStatement prepared = conn.prepareStatement(SUM + " WHERE n > ?")) {
            for (int i = 0; i < 10; i++) {
                same(seen(conn, SUM), own);
                same(bound(prepared, 0), own);
            }
        }
        same(seen(conn, "SELECT count(*) FROM orders WHERE tenant_id <> '" + tenant + "'"), 0);
        conn.setAutoCommit(false);
        conn.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        run(conn, "INSERT INTO orders (n) VALUES (100)");
        Savepoint savepoint = conn.setSavepoint();
        expectError("42501", () -> run(conn, FOREIGN));
        conn.rollback(savepoint);
        same(seen(conn, SUM), own + 100);
        conn.rollback();
        if (!conn.getMetaData().getURL().contains("simple")) {
            StringBuilder lines = new StringBuilder();
            for (int i = 0; i < 1000; i++) {
                lines.append(i).append('\n');
            }
            var copy = conn.unwrap(PGConnection.class).getCopyAPI();
            copy.copyIn("COPY copied (n) FROM STDIN", new StringReader(lines.toString()));
            same(seen(conn, "SELECT count(*) FROM copied WHERE tenant_id = '" + tenant + "'"), 1000);
            conn.rollback();
        }
        try (PreparedStatement insert = conn.prepareStatement("INSERT INTO orders (n) VALUES (?)")) {
            for (int i = 0; i < 500; i++) {
                insert.setInt(1, 1);
                insert.addBatch();
            }
            same(insert.executeBatch().length, 500);
        }
        same(seen(conn, SUM), own + 500);
        conn.rollback();
        try (PreparedStatement rows = conn.prepareStatement("SELECT n FROM orders")) {
            rows.setFetchSize(1);
            int sum = 0;
            try (ResultSet all = rows.executeQuery()) {
                while (all.next()) {
                    sum += all.getInt(1);
                }
            }
            same(sum, own);
        }
        conn.commit();
        conn.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        conn.setAutoCommit(true);
        expectError("22012", () -> seen(conn, "SELECT 1 / 0"));
        same(seen(conn, SUM), own);
    }

    static void byUrl() throws Exception {
        for (String tenant : SUMS.keySet()) {
            for (String url : urls(tenant)) {
                try (Connection conn = DriverManager.getConnection(url)) {
                    work(conn, tenant);
                } catch (Throwable error) {
                    throw new AssertionError(url, error);
                }
                System.out.println("url     " + url);
            }
        }
    }

    static void bySet() throws Exception {
        for (String mode : List.of("", "&preferQueryMode=simple", "&autosave=always")) {
            try (Connection conn = DriverManager.getConnection(url("app", mode))) {
                expectError("28000", () -> seen(conn, SUM));
                for (String tenant : SUMS.keySet()) {
                    run(conn, "SET app.tenant_id = '" + tenant + "'");
                    work(conn, tenant);
                }
                run(conn, "RESET app.tenant_id");
                try (PreparedStatement set = conn.prepareStatement("SELECT set_config('app.tenant_id', ?, true)")) {
                    conn.setAutoCommit(false);
                    for (int i = 0; i < 8; i++) {
                        for (var tenant : SUMS.entrySet()) {
                            set.setString(1, tenant.getKey());
                            set.executeQuery().close();
                            same(seen(conn, SUM), tenant.getValue());
                            conn.commit();
                        }
                    }
                }
                expectError("28000", () -> seen(conn, SUM));
                conn.rollback();
            } catch (Throwable error) {
                throw new AssertionError("with " + mode, error);
            }
        }
    }

    static void byComment() throws Exception {
        for (String mode : List.of("", "&preferQueryMode=simple", "&prepareThreshold=1")) {
            try (Connection conn = DriverManager.getConnection(url("app", mode))) {
                for (int i = 0; i < 10; i++) {
                    for (var tenant : SUMS.entrySet()) {
                        String tag = "/*tenant_id='" + tenant.getKey() + "'*/";
                        same(seen(conn, SUM + " " + tag), tenant.getValue());
                        same(seen(conn, tag + " " + SUM), tenant.getValue());
                        String bound = SUM + " WHERE n > ? " + tag;
                        try (PreparedStatement statement = conn.prepareStatement(bound)) {
                            same(bound(statement, 0), tenant.getValue());
                        }
                    }
                }
                expectError("28000", () -> seen(conn, SUM));
            } catch (Throwable error) {
                throw new AssertionError("with " + mode, error);
            }
        }
    }

    static void manyClients() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(20);
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            for (var tenant : SUMS.entrySet()) {
                all.add(threads.submit(() -> {
                    String url = urls(tenant.getKey()).get(0);
                    try (Connection conn = DriverManager.getConnection(url)) {
                        for (int round = 0; round < 30; round++) {
                            same(seen(conn, SUM), tenant.getValue());
                        }
                    }
                    return null;
                }));
            }
        }
        for (Future<?> one : all) {
            one.get(20, TimeUnit.SECONDS);
        }
        threads.shutdown();
    }

    public static void main(String[] arguments) {
        URI uri = URI.create(System.getenv("DATABASE_URL"));
        password = uri.getUserInfo().split(":")[1];
        base = String.format("jdbc:postgresql://%s:%d%s", uri.getHost(), uri.getPort(), uri.getPath());
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("byUrl", TenantsJdbc::byUrl);
        checks.put("bySet", TenantsJdbc::bySet);
        checks.put("byComment", TenantsJdbc::byComment);
        checks.put("manyClients", TenantsJdbc::manyClients);
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
