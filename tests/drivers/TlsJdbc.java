// JDBC over TLS: Java's own, by streams that wait.

import java.io.StringReader;
import java.io.StringWriter;
import java.net.URI;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;

public class TlsJdbc {
    static final int CROWD = 200;
    static final int ROWS = 2_000;
    static final int LENGTH = 10_000;
    static final String LARGE = "SELECT i, repeat(chr(97 + i % 26), " + LENGTH + ")"
        + " FROM generate_series(1, " + ROWS + ") i";
    static URI password;
    static URI certificate;

    interface Check {
        void run() throws Exception;
    }

    static String env(String name) {
        return System.getenv(name);
    }

    /** What differs from a connection that checks everything. */
    static Connection connect(URI uri, String host, String... more) throws SQLException {
        String[] who = uri.getUserInfo().split(":");
        Properties properties = new Properties();
        properties.setProperty("user", who[0]);
        if (who.length > 1) {
            properties.setProperty("password", who[1]);
        }
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", env("CA"));
        for (int i = 0; i < more.length; i += 2) {
            properties.setProperty(more[i], more[i + 1]);
        }
        String url = String.format("jdbc:postgresql://%s:%d%s", host, uri.getPort(), uri.getPath());
        return DriverManager.getConnection(url, properties);
    }

    static Connection connect(String... more) throws SQLException {
        return connect(password, password.getHost(), more);
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static Object value(Connection conn, String sql) throws SQLException {
        try (Statement statement = conn.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getObject(1);
        }
    }

    static void refused(String words, Callable<Connection> connect) throws Exception {
        try {
            connect.call().close();
        } catch (SQLException error) {
            String said = error + " " + error.getCause();
            if (!said.contains(words)) {
                throw new AssertionError("expected " + words + ", found " + said);
            }
            return;
        }
        throw new AssertionError("not refused: " + words);
    }

    static boolean knows(String property) throws SQLException {
        Driver driver = DriverManager.getDriver("jdbc:postgresql:");
        for (DriverPropertyInfo one : driver.getPropertyInfo("jdbc:postgresql:", new Properties())) {
            if (one.name.equals(property)) {
                return true;
            }
        }
        System.out.println("later   this version has no " + property);
        return false;
    }

    static void verified() throws Exception {
        try (Connection conn = connect()) {
            same(value(conn, "SELECT 1"), 1);
        }
        refused("PKIX path", () -> connect("sslrootcert", env("OTHER_CA")));
        refused("could not be verified", () -> connect(password, "db.example.org"));
        refused("requires TLS", () -> connect("sslmode", "disable"));
        refused("password authentication failed", () -> connect("password", "wrong"));
    }

    static void bound() throws Exception {
        if (knows("channelBinding")) {
            try (Connection conn = connect("channelBinding", "require")) {
                same(value(conn, "SELECT 1"), 1);
            }
        }
    }

    static void byCertificate() throws Exception {
        String host = certificate.getHost();
        try (Connection conn = connect(certificate, host, "sslcert", env("CERT"), "sslkey", env("KEY_DER"))) {
            same(value(conn, "SELECT session_user::text"), "app");
        }
        refused("certificate authentication failed", () ->
            connect(certificate, host, "sslcert", env("OTHER_CERT"), "sslkey", env("OTHER_KEY_DER")));
    }

    static void direct() throws Exception {
        if (knows("sslNegotiation")) {
            try (Connection conn = connect("sslNegotiation", "direct")) {
                same(value(conn, "SELECT 1"), 1);
            }
        }
    }

    static void tenantByServerName() throws Exception {
        for (String tenant : List.of("acme", "globex")) {
            try (Connection conn = connect(password, tenant + ".db.example.com")) {
                same(value(conn, "SELECT current_setting('app.tenant_id', true)"), tenant);
            }
        }
    }

    static void checkLarge(ResultSet rows) throws SQLException {
        int count = 0;
        while (rows.next()) {
            count++;
            same(rows.getInt(1), count);
            same(rows.getString(2), String.valueOf((char) (97 + count % 26)).repeat(LENGTH));
        }
        same(count, ROWS);
    }

    static void largeResult() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            checkLarge(statement.executeQuery(LARGE));
            conn.setAutoCommit(false);
            statement.setFetchSize(70);
            checkLarge(statement.executeQuery(LARGE));
            conn.commit();
        }
    }

    static void copy() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS tls_jdbc; CREATE TABLE tls_jdbc (i int, t text)");
            StringBuilder lines = new StringBuilder();
            for (int i = 0; i < 20_000; i++) {
                lines.append(i).append('\t').append("t".repeat(i % 1_000)).append('\n');
            }
            var copy = conn.unwrap(PGConnection.class).getCopyAPI();
            same(copy.copyIn("COPY tls_jdbc FROM STDIN", new StringReader(lines.toString())), 20_000L);
            StringWriter out = new StringWriter();
            same(copy.copyOut("COPY (SELECT * FROM tls_jdbc ORDER BY i) TO STDOUT", out), 20_000L);
            same(out.toString().equals(lines.toString()), true);
        }
    }

    static void batches() throws Exception {
        try (Connection conn = connect(); Statement statement = conn.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS tls_batches; CREATE TABLE tls_batches (i int, t text)");
            try (PreparedStatement insert = conn.prepareStatement("INSERT INTO tls_batches VALUES (?, ?)")) {
                for (int i = 0; i < 3_000; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "b".repeat(i));
                    insert.addBatch();
                }
                same(insert.executeBatch().length, 3_000);
            }
            same(value(conn, "SELECT sum(length(t)) FROM tls_batches"), 3_000L * 2_999 / 2);
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
            try {
                statement.execute("SELECT pg_sleep(15)");
                throw new AssertionError("not cancelled");
            } catch (SQLException error) {
                same(error.getSQLState(), "57014");
            }
            same(value(conn, "SELECT 1"), 1);
        }
    }

    static void notificationsWhileIdle() throws Exception {
        try (Connection listener = connect(); Connection speaker = connect();
                Statement listen = listener.createStatement(); Statement speak = speaker.createStatement()) {
            listen.execute("LISTEN news");
            var heard = listener.unwrap(PGConnection.class);
            for (int i = 0; i < 20; i++) {
                speak.execute("NOTIFY news, '" + i + "'");
                var come = heard.getNotifications(15_000);
                same(come.length, 1);
                same(come[0].getParameter(), String.valueOf(i));
            }
            // One that does not wait looks whether anything has come.
            speak.execute("NOTIFY news, 'last'");
            long end = System.nanoTime() + 15_000_000_000L;
            org.postgresql.PGNotification[] come = null;
            while ((come == null || come.length == 0) && System.nanoTime() < end) {
                Thread.sleep(5);
                come = heard.getNotifications();
            }
            same(come.length, 1);
            same(come[0].getParameter(), "last");
        }
    }

    static void crowd() throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(CROWD);
        CountDownLatch all = new CountDownLatch(CROWD);
        List<Future<?>> clients = new ArrayList<>();
        for (int client = 0; client < CROWD; client++) {
            int who = client;
            clients.add(threads.submit(() -> {
                try (Connection conn = connect()) {
                    all.countDown();
                    if (!all.await(60, TimeUnit.SECONDS)) {
                        throw new AssertionError("the others do not come in");
                    }
                    same(value(conn, "SELECT " + who), who);
                }
                return null;
            }));
        }
        for (Future<?> one : clients) {
            one.get(60, TimeUnit.SECONDS);
        }
        threads.shutdown();
    }

    public static void main(String[] arguments) throws Exception {
        password = URI.create(env("DATABASE_URL"));
        certificate = URI.create(env("CERT_URL"));
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("verified", TlsJdbc::verified);
        checks.put("bound", TlsJdbc::bound);
        checks.put("byCertificate", TlsJdbc::byCertificate);
        checks.put("direct", TlsJdbc::direct);
        checks.put("tenantByServerName", TlsJdbc::tenantByServerName);
        checks.put("largeResult", TlsJdbc::largeResult);
        checks.put("copy", TlsJdbc::copy);
        checks.put("batches", TlsJdbc::batches);
        checks.put("cancel", TlsJdbc::cancel);
        checks.put("notificationsWhileIdle", TlsJdbc::notificationsWhileIdle);
        checks.put("crowd", TlsJdbc::crowd);
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
