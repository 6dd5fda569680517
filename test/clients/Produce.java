// Produces and reads with pgjdbc, as its users would; test/t/030_clients.pl
// says what has to come of it.
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.OffsetDateTime;
import org.postgresql.util.PGobject;

public class Produce {
	static Connection connection;

	static PreparedStatement prepare(String sql, Object... values) throws SQLException {
		PreparedStatement statement = connection.prepareStatement(sql);
		for (int i = 0; i < values.length; i++) {
			if (values[i] == null)
				statement.setNull(i + 1, Types.NULL);
			else if (values[i] instanceof Object[] array)
				statement.setArray(i + 1, connection.createArrayOf(array instanceof byte[][] ? "bytea" : "text", array));
			else
				statement.setObject(i + 1, values[i]);
		}
		return statement;
	}

	static String call(String sql, Object... values) throws SQLException {
		try (PreparedStatement statement = prepare(sql, values); ResultSet result = statement.executeQuery()) {
			result.next();
			return result.getString(1);
		}
	}

	static PGobject object(String type, String value) throws SQLException {
		PGobject object = new PGobject();
		object.setType(type);
		object.setValue(value);
		return object;
	}

	static void print(Object... words) {
		StringBuilder line = new StringBuilder();
		for (Object word : words)
			line.append(line.length() == 0 ? "" : " ").append(word);
		System.out.println(line);
	}

	public static void main(String[] arguments) throws Exception {
		System.setOut(new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8));
		connection = DriverManager.getConnection(arguments[0]);
		connection.setAutoCommit(false);
		String produce = "SELECT streamhouse.produce(?, ?, ?)";
		OffsetDateTime when = OffsetDateTime.parse("2024-02-29T12:00:00Z");

		call(produce, "t", "{\"n\": 1}", "text");
		call(produce, "t", object("jsonb", "{\"n\": 2}"), "jsonb");
		call(produce, "t", object("json", "{\"n\": 3}"), "json");
		call(produce, "t", null, "null");
		call("SELECT streamhouse.produce('t', '{\"n\": 4}', 'literal')");
		print("partition:", call("SELECT streamhouse.produce(?, ?, ?, partition => ?)", "t", "5", "partition", 2));
		call("SELECT streamhouse.produce('t', ?, key => ?, headers => ?, partition => ?, event_time => ?)",
			"6", "all", object("jsonb", "{\"h\": \"é\"}"), null, when);
		prepare("INSERT INTO t (key, value, _timestamp) VALUES (?, ?::jsonb, ?)", "insert", "[7]", Timestamp.from(when.toInstant())).executeUpdate();
		try (PreparedStatement statement = connection.prepareStatement("INSERT INTO t (key, value) VALUES (?, ?)")) {
			for (int n = 8; n <= 9; n++) {
				statement.setString(1, "many");
				statement.setObject(2, object("jsonb", "" + n));
				statement.addBatch();
			}
			statement.executeBatch();
		}
		connection.unwrap(org.postgresql.PGConnection.class).getCopyAPI().copyIn("COPY t (key, value) FROM STDIN", new java.io.StringReader("copy\t10\n"));
		print("batch:", call("SELECT streamhouse.produce_batch(?, ?, ?)", "t", new String[] {"{\"n\": 11}", null, "13"}, new String[] {"batch", "batch", null}));
		print("batch without keys:", call("SELECT streamhouse.produce_batch(?, ?)", "t", new String[0]));
		print("bytes:", call("SELECT streamhouse.produce_bytes(?, ?, ?)", "b", new byte[] {0, -1}, "\0key".getBytes()));
		print("bytes batch:", call("SELECT streamhouse.produce_batch_bytes(?, ?)", "b", new byte[][] {{1}, null}));
		print("typed:", call(produce, "o", object("jsonb", "{\"id\": 1, \"customer\": \"é\", \"amount\": \"1.50\", \"at\": \"" + when + "\"}"), "é"));
		connection.commit();

		call(produce, "t", "0", "not committed");
		Savepoint savepoint = connection.setSavepoint();
		try {
			call("SELECT streamhouse.produce(?, ?, partition => ?)", "t", "0", 99);
		} catch (org.postgresql.util.PSQLException error) {
			print("error:", error.getSQLState(), error.getServerErrorMessage().getMessage());
		}
		connection.rollback(savepoint);
		connection.rollback();

		// from the fifth execution on the server prepares, and formats are binary
		call(produce, "t", "14", "binary");
		try (PreparedStatement statement = connection.prepareStatement(produce)) {
			for (int n = 15; n < 25; n++) {
				statement.setString(1, "t");
				statement.setString(2, "" + n);
				statement.setString(3, "pipeline");
				statement.executeQuery().close();
			}
		}
		connection.commit();

		try (ResultSet result = prepare("SELECT topic::text, sum(last_offset - first_offset + 1)::int FROM streamhouse.last_produced() GROUP BY 1").executeQuery()) {
			result.next();
			print("last_produced:", result.getString(1), result.getInt(2));
		}
		try (ResultSet result = prepare("SELECT _partition, _offset FROM streamhouse.read(NULL::t, ?, ?, max_records => ?)", 2, 0L, 1).executeQuery()) {
			result.next();
			print("read:", "(" + result.getInt(1) + ", " + result.getLong(2) + ")", result.next() ? 2 : 1);
		}
		PreparedStatement cursor = prepare("SELECT * FROM t WHERE key = ?", "pipeline");
		cursor.setFetchSize(3);
		int rows = 0;
		for (ResultSet result = cursor.executeQuery(); result.next();)
			rows++;
		print("cursor:", rows);
		connection.commit();
		connection.close();
	}
}
