// JDBC with a token as its password.

import java.net.URI;
import java.sql.*;

public class TokensJdbc {
    static final URI AT = URI.create(System.getenv("DATABASE_URL"));

    static Connection connect(String token) throws SQLException {
        String url = String.format("jdbc:postgresql://%s:%d%s", AT.getHost(), AT.getPort(), AT.getPath());
        return DriverManager.getConnection(url, "app", token);
    }

    public static void main(String[] args) throws SQLException {
        String token = System.getenv("TOKEN");
        for (int i = 0; i < 3; i++) {
            try (Connection conn = connect(token); Statement statement = conn.createStatement();
                    ResultSet rows = statement.executeQuery("SELECT session_user")) {
                rows.next();
                if (!rows.getString(1).equals("app")) {
                    throw new AssertionError(rows.getString(1));
                }
            }
        }
        for (String wrong : new String[] {System.getenv("OTHER_TOKEN"), token.substring(0, token.length() - 4), "x"}) {
            try (Connection conn = connect(wrong)) {
                throw new AssertionError("it came in");
            } catch (SQLException error) {
                if (!"28P01".equals(error.getSQLState())) {
                    throw new AssertionError(error);
                }
            }
        }
        System.out.println("ok      tokens");
    }
}
