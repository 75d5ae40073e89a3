using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace DataSync.PostgreSql.Tests;

/// <summary>
/// A PostgreSQL server of these tests' own: made by initdb in a temporary directory, as a user that is not root, on a free port of this machine, with fsync;
/// ended and removed at the end. <c>DATASYNC_POSTGRES_BIN</c> names the folder of initdb where it is neither on the path nor where Debian has it.
/// </summary>
public sealed partial class PostgresCluster
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-pg-").FullName;
    private readonly string _bin = FindBin();
    private readonly string? _user = Environment.UserName == "root" ? FindUser() : null;

    public int Port { get; private set; }

    public string ConnectionString => Connect(Port);

    /// <summary>For looking past DataSync.</summary>
    public NpgsqlDataSource Admin { get; private set; } = null!;

    /// <summary>The same server through another port.</summary>
    public static string Connect(int port) => string.Create(
        CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={port};Database=postgres;Username=datasync;Timeout=5;Cancellation Timeout=1000;Ssl Mode=Disable;GSS Encryption Mode=Disable");

    public async Task InitializeAsync()
    {
        if (_user is not null) await RunAsync("chown", _user, _folder);
        await RunAsUserAsync("initdb", "--no-sync", "-A", "trust", "-U", "datasync", "-E", "UTF8", "--locale=C", "-D", Data);
        for (var attempt = 1; ; attempt++)
        {
            Port = FindFreePort();
            try
            {
                await StartAsync();
                break;
            }
            catch (InvalidOperationException) when (attempt < 5)
            {
                // Somebody else took the port.
            }
        }

        Admin = NpgsqlDataSource.Create(ConnectionString + ";Application Name=admin");
    }

    public async Task DisposeAsync()
    {
        await Admin.DisposeAsync();
        await StopAsync();
        Directory.Delete(_folder, recursive: true);
    }

    public Task StartAsync() => RunAsUserAsync(
        "pg_ctl", "start", "-w", "-D", Data, "-l", Path.Combine(_folder, "log"), "-o",
        string.Create(CultureInfo.InvariantCulture, $"-p {Port} -k {_folder} -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=64MB -c fsync=on -c log_min_messages=fatal"));

    /// <summary>As a crash of the server: nothing is written, and the next start recovers from the log.</summary>
    public Task StopAsync() => RunAsUserAsync("pg_ctl", "stop", "-w", "-m", "immediate", "-D", Data);

    public async Task CrashAsync()
    {
        await StopAsync();
        await StartAsync();
        Admin.Clear();
    }

    public async Task<T> QueryAsync<T>(string sql, params object[] values)
    {
        await using var command = Admin.CreateCommand(sql);
        foreach (var value in values) command.Parameters.Add(new() { Value = value });
        return await command.ExecuteScalarAsync() is { } result and not DBNull ? (T)result : default!;
    }

    public async Task ExecuteAsync(string sql, params object[] values)
    {
        await using var command = Admin.CreateCommand(sql);
        foreach (var value in values) command.Parameters.Add(new() { Value = value });
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>Ends the sessions of one application name.</summary>
    public Task<long> EndSessionsAsync(string application) =>
        QueryAsync<long>("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1", application);

    private string Data => Path.Combine(_folder, "data");

    private Task RunAsUserAsync(string tool, params string[] arguments)
    {
        var path = Path.Combine(_bin, tool);
        return _user is null ? RunAsync(path, arguments) : RunAsync("runuser", ["-u", _user, "--", path, .. arguments]);
    }

    private async Task RunAsync(string file, params string[] arguments)
    {
        // The server inherits what is redirected, and keeps it open: only files are waited for.
        var start = new ProcessStartInfo("/bin/sh") { WorkingDirectory = _folder };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec \"$@\" >>\"$0\" 2>&1 </dev/null");
        foreach (var argument in (string[])[Path.Combine(_folder, "output"), file, .. arguments]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        await process.WaitForExitAsync().WaitAsync(Patience);
        if (process.ExitCode != 0) throw new InvalidOperationException($"{file} {string.Join(' ', arguments)}: {await File.ReadAllTextAsync(Path.Combine(_folder, "output"))}");
    }

    private static int FindFreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string FindBin()
    {
        IEnumerable<string> folders =
        [
            Environment.GetEnvironmentVariable("DATASYNC_POSTGRES_BIN") ?? "",
            .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator),
            .. Directory.Exists("/usr/lib/postgresql") ? Directory.GetDirectories("/usr/lib/postgresql").OrderDescending().Select(folder => Path.Combine(folder, "bin")) : [],
        ];
        return folders.FirstOrDefault(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, "initdb")))
            ?? throw new InvalidOperationException("PostgreSQL's initdb was not found. Install it (apt-get install postgresql), or name its folder in DATASYNC_POSTGRES_BIN.");
    }

    private static string FindUser() => File.ReadLines("/etc/passwd").Any(line => line.StartsWith("postgres:", StringComparison.Ordinal)) ? "postgres" : "nobody";
}
