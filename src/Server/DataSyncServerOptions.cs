using Microsoft.AspNetCore.Http;

namespace DataSync.Server;

/// <summary>Who may open which database over the endpoint, and how much of the server one may take. Copied when the app starts.</summary>
public sealed class DataSyncServerOptions
{
    /// <summary>
    /// Decides what a user may do with the database of a name, once for each connection. Nobody may do anything as long as it is not set. It may look into services and databases; what it
    /// throws refuses the connection.
    /// </summary>
    public Func<HttpContext, string, ValueTask<DatabaseAccess>>? Authorize { get; set; }

    /// <summary>
    /// How often <see cref="Authorize"/> is asked again while a connection lasts, with the context of its beginning. Where the answer is another one the connection is ended, and the client comes
    /// back with what it may do now; if that is nothing, its database stops with <c>AccessDeniedException</c>.
    /// </summary>
    /// <value>Null by default: rights that are taken away count from the next connection on. 1 s to 1 day.</value>
    public TimeSpan? ReauthorizeEvery { get; set; }

    /// <summary>
    /// Sees each text of a statement that a client has the server run (context, database, SQL without the values of its parameters) and says whether it may be; what may not fails with
    /// <c>AccessDeniedException</c>. Commits as pages, which clients make as they like, show nothing of their statements: set <see cref="AllowPages"/> to false where the filter is to see
    /// everything. A text may hold several statements, and triggers run what they run. Called for each connection on a thread of its own; what it throws ends the connection.
    /// </summary>
    public Func<HttpContext, string, string, bool>? StatementFilter { get; set; }

    /// <summary>
    /// Whether clients may commit pages of the database. Without that all their plain SQL (<c>ExecuteAsync</c>, up to 16 KiB) is run by the server, and everything else that writes fails with
    /// <c>AccessDeniedException</c>.
    /// </summary>
    /// <value>True by default. Whoever may commit pages may change every byte of the database.</value>
    public bool AllowPages { get; set; } = true;

    /// <summary>Other origins whose pages may connect, as <c>https://app.example.org</c>; the server's own always may. <c>*</c> allows all: then cookies must not be what authenticates.</summary>
    public ISet<string> AllowedOrigins { get; } = new HashSet<string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>The largest message that is taken, in bytes: a commit of pages has about as many as it changes. A larger one fails with <c>CommitTooLargeException</c>.</summary>
    /// <value>128 MiB by default; 64 KiB to 1 GiB.</value>
    public long MaxMessageBytes { get; set; } = 128 << 20;

    /// <summary>How many messages one connection may send within a second, on average over ten. One that sends more is closed.</summary>
    /// <value>1,000 by default; 10 to 1,000,000.</value>
    public int MessagesPerSecond { get; set; } = 1_000;

    /// <summary>How many bytes a second are taken from one connection, on average over ten; what is more waits in the network.</summary>
    /// <value>32 MiB by default; 64 KiB to 1 GiB.</value>
    public int BytesPerSecond { get; set; } = 32 << 20;

    /// <summary>How many connections one database may have.</summary>
    /// <value>1,000 by default; 1 to 100,000.</value>
    public int MaxSocketsPerDatabase { get; set; } = 1_000;

    /// <summary>How many connections one user may have, in all databases. Who is not signed in is told by the address.</summary>
    /// <value>64 by default; 1 to 100,000.</value>
    public int MaxSocketsPerUser { get; set; } = 64;

    /// <summary>
    /// How many bytes of messages may wait for one connection; one message may always. What is more is not sent: a client that does not read so fast hears of a later commit, and reads what it missed at its
    /// own pace. One that does not read at all is closed after <see cref="SendTimeout"/>.
    /// </summary>
    /// <value>16 MiB by default; 1 MiB to 1 GiB.</value>
    public long MaxQueuedBytes { get; set; } = 16 << 20;

    /// <summary>How many clients may be sent a whole database at the same time; the others wait. Each takes as much memory as the database.</summary>
    /// <value>4 by default; 1 to 1,000.</value>
    public int MaxConcurrentReads { get; set; } = 4;

    /// <summary>How long a frame may be on its way to a client, before its connection counts as dead.</summary>
    /// <value>30 s by default; 1 s to 10 minutes.</value>
    public TimeSpan SendTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a database stays open after its last connection. What the app itself has opened stays open.</summary>
    /// <value>1 minute by default; 0 to 1 day.</value>
    public TimeSpan IdleTimeout { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Allows everybody everything, with each name of a database. For a prototype, or behind a policy of the endpoint and for one database that all its users share.</summary>
    public DataSyncServerOptions AllowEverybody()
    {
        Authorize = static (_, _) => new(DatabaseAccess.Write);
        return this;
    }

    internal void Validate()
    {
        Check(MaxMessageBytes, 64 << 10, 1 << 30, nameof(MaxMessageBytes));
        Check(MessagesPerSecond, 10, 1_000_000, nameof(MessagesPerSecond));
        Check(BytesPerSecond, 64 << 10, 1 << 30, nameof(BytesPerSecond));
        Check(MaxSocketsPerDatabase, 1, 100_000, nameof(MaxSocketsPerDatabase));
        Check(MaxSocketsPerUser, 1, 100_000, nameof(MaxSocketsPerUser));
        Check(MaxQueuedBytes, 1 << 20, 1 << 30, nameof(MaxQueuedBytes));
        Check(MaxConcurrentReads, 1, 1_000, nameof(MaxConcurrentReads));
        Check(SendTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10), nameof(SendTimeout));
        if (ReauthorizeEvery is { } every) Check(every, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1), nameof(ReauthorizeEvery));
        Check(IdleTimeout, TimeSpan.Zero, TimeSpan.FromDays(1), nameof(IdleTimeout));
    }

    private static void Check<T>(T value, T least, T most, string name)
        where T : IComparable<T>
    {
        if (value.CompareTo(least) < 0 || value.CompareTo(most) > 0) throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}
