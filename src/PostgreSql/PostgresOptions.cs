using System.Text;
using Npgsql;

namespace DataSync.PostgreSql;

/// <summary>How databases are kept in PostgreSQL. Copied when a factory is made.</summary>
public sealed class PostgresOptions
{
    // What a name of PostgreSQL takes; longer ones are cut off there, so that two could become one.
    private const int MaxName_bytes = 63;

    // Each open database needs one connection of its own, one to watch the leader, and one for what it reads and writes.
    private const int MinPoolSize = 4;

    /// <summary>The schema that holds DataSync's tables. It is made when there is none, which needs the right to do so.</summary>
    /// <value><c>datasync</c> by default; 1 to 63 bytes in UTF-8, no control characters, not beginning with <c>pg_</c>.</value>
    public string Schema { get; set; } = "datasync";

    /// <summary>
    /// How long one call of the server may take. After that its outcome counts as unknown, the connection as lost; both are found out by connecting anew.
    /// </summary>
    /// <value>30 s by default; 1 s to 1 hour, in whole seconds. Commits of some hundred megabytes over a slow line need their time.</value>
    public TimeSpan CommandTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a database whose connection was lost goes on trying to get it back (the server restarts, a standby takes over), before it stops for good.
    /// What it holds can be read meanwhile; writes wait for as long as <c>WriteTimeout</c> says.
    /// </summary>
    /// <value>2 minutes by default; 0 (a few seconds only) to 1 day.</value>
    public TimeSpan ReconnectTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>
    /// How long a session that holds up a write of another one is left alone, before it is ended: its process stands still or its network is cut, and it would
    /// keep everybody from leading. What it was about to write is not written.
    /// </summary>
    /// <value>1 s by default; 100 ms to 1 minute.</value>
    public TimeSpan BlockerGrace { get; set; } = TimeSpan.FromSeconds(1);

    internal PostgresOptions Copy() => (PostgresOptions)MemberwiseClone();

    internal void Validate()
    {
        if (string.IsNullOrWhiteSpace(Schema) || Schema.Any(char.IsControl) || Schema.StartsWith("pg_", StringComparison.Ordinal) || Encoding.UTF8.GetByteCount(Schema) > MaxName_bytes)
            throw new ArgumentException($"{nameof(Schema)} must have 1 to {MaxName_bytes} bytes in UTF-8, no control characters, and not begin with 'pg_'.", nameof(Schema));
        Check(CommandTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1), nameof(CommandTimeout));
        if (CommandTimeout.Ticks % TimeSpan.TicksPerSecond != 0) throw new ArgumentException($"{nameof(CommandTimeout)} is {CommandTimeout}; it must be whole seconds.", nameof(CommandTimeout));
        Check(ReconnectTimeout, TimeSpan.Zero, TimeSpan.FromDays(1), nameof(ReconnectTimeout));
        Check(BlockerGrace, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1), nameof(BlockerGrace));
    }

    /// <summary>What a connection string must not say.</summary>
    internal static void CheckConnection(NpgsqlConnectionStringBuilder connection)
    {
        if (string.IsNullOrWhiteSpace(connection.Host))
            throw new ArgumentException("The connection string names no host. Write, for instance, 'Host=db.example.org;Database=app;Username=app'.");
        if (connection.Multiplexing)
            throw new ArgumentException("The connection string switches multiplexing on. DataSync needs sessions of its own (locks, LISTEN): leave 'Multiplexing' out.");
        if (connection.Pooling && connection.MaxPoolSize < MinPoolSize)
            throw new ArgumentException($"The connection string allows {connection.MaxPoolSize} connections. One open database needs up to {MinPoolSize - 1}: set 'Maximum Pool Size' to {MinPoolSize} or more.");
    }

    /// <summary>What DataSync's own connections need and need not.</summary>
    internal static NpgsqlConnectionStringBuilder Tune(NpgsqlConnectionStringBuilder connection)
    {
        connection.Enlist = false; // an app's ambient transaction is none of DataSync's
        connection.NoResetOnClose = true; // settings are each transaction's, and who takes locks gives them back: nothing is left to discard
        return connection;
    }

    private static void Check(TimeSpan value, TimeSpan least, TimeSpan most, string name)
    {
        if (value < least || value > most) throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}
