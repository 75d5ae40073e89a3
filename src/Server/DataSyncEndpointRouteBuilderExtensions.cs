using DataSync.Server;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Microsoft.AspNetCore.Builder;

/// <summary>Maps the endpoint at which browsers join the server's databases.</summary>
public static class DataSyncEndpointRouteBuilderExtensions
{
    /// <summary>Maps a WebSocket endpoint for all databases. It is an endpoint like others: <c>RequireAuthorization</c> and host filters work.</summary>
    /// <param name="endpoints">The app.</param>
    /// <param name="pattern">The path.</param>
    /// <exception cref="InvalidOperationException"><c>AddDataSyncServer</c> was not called.</exception>
    public static IEndpointConventionBuilder MapDataSync(this IEndpointRouteBuilder endpoints, string pattern = "/datasync")
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var server = endpoints.ServiceProvider.GetService<DatabaseServer>()
            ?? throw new InvalidOperationException("Call builder.Services.AddDataSyncServer(o => o.Authorize = …) before MapDataSync.");
        var pipeline = endpoints.CreateApplicationBuilder().UseWebSockets();
        pipeline.Run(server.ServeAsync);
        return endpoints.Map(pattern, pipeline.Build()).WithDisplayName("DataSync");
    }
}
