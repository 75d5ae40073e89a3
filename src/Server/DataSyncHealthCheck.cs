using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace DataSync.Server;

/// <summary>Whether the databases that are served can be written.</summary>
internal sealed class DataSyncHealthCheck(DatabaseServer server) : IHealthCheck
{
    /// <inheritdoc/>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        var data = new Dictionary<string, object>();
        foreach (var (name, fault) in server.Faults) data[name] = fault;
        if (data.Count > 0) return new(context.Registration.FailureStatus, $"{data.Count} databases have stopped.", data: data);
        var served = server.Databases;
        var troubles = await Task.WhenAll(served.Select(database => database.FindTroubleAsync(cancellationToken))).ConfigureAwait(false);
        for (var i = 0; i < served.Count; i++) if (troubles[i] is { } trouble) data[served[i].Name] = trouble;
        return data.Count > 0
            ? HealthCheckResult.Degraded($"{data.Count} of {served.Count} databases cannot be written at this moment; they are tried again.", data: data)
            : HealthCheckResult.Healthy($"{served.Count} databases are served.");
    }
}
