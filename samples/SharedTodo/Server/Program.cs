using System.Security.Claims;
using DataSync.Server;
using DataSync.SharedTodo;
using DataSync.Vfs;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.DataProtection;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;

const string Database = "todo.db";

var builder = WebApplication.CreateBuilder(args);
var data = builder.Configuration["Data"] ?? Path.Combine(builder.Environment.ContentRootPath, "data");

// Several servers may have the same database in PostgreSQL; a directory is one process's.
if (builder.Configuration.GetConnectionString("Postgres") is { Length: > 0 } postgres) builder.Services.AddDataSyncPostgres(postgres, o => o.Database(Database));
else builder.Services.AddDataSync(o => o.Database(Database).Directory = Path.Combine(data, "databases"));
builder.Services.AddDataSyncServer(o => o.Authorize = static (_, database) => new(database == Database ? DatabaseAccess.Write : DatabaseAccess.None));

// For the demonstration a name is enough to sign in. Whoever signs in may read and change the whole list: an app of yours asks for more.
builder.Services.AddAuthentication(CookieAuthenticationDefaults.AuthenticationScheme).AddCookie(o =>
{
    o.Cookie.SameSite = SameSiteMode.Strict;
    o.Events.OnRedirectToLogin = static context =>
    {
        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        return Task.CompletedTask;
    };
});
builder.Services.AddAuthorization();
builder.Services.AddDataProtection().PersistKeysToFileSystem(Directory.CreateDirectory(Path.Combine(data, "keys"))); // so that cookies outlive a restart
builder.Services.AddHealthChecks();

// To whatever collects at OTEL_EXPORTER_OTLP_ENDPOINT.
if (builder.Configuration["OTEL_EXPORTER_OTLP_ENDPOINT"] is { Length: > 0 })
{
    builder.Services.AddOpenTelemetry()
        .WithMetrics(metrics => metrics.AddMeter("DataSync.*").AddAspNetCoreInstrumentation())
        .WithTracing(tracing => tracing.AddAspNetCoreInstrumentation())
        .UseOtlpExporter();
}

var app = builder.Build();
app.UseAuthentication();
app.UseAuthorization();
app.MapStaticAssets();
app.MapHealthChecks("/healthz");
app.MapGet("/me", (ClaimsPrincipal user) => user.Identity?.Name ?? "");
app.MapPost("/sign-in", async (HttpContext context) =>
{
    using var reader = new StreamReader(context.Request.Body);
    var name = (await reader.ReadToEndAsync(context.RequestAborted)).Trim();
    if (name.Length is 0 or > 40) return Results.BadRequest("A name has 1 to 40 characters.");
    Claim[] claims = [new(ClaimTypes.Name, name), new(ClaimTypes.NameIdentifier, name)];
    var identity = new ClaimsIdentity(claims, CookieAuthenticationDefaults.AuthenticationScheme);
    await context.SignInAsync(new ClaimsPrincipal(identity), new AuthenticationProperties { IsPersistent = true });
    return Results.Text(name);
});
app.MapPost("/sign-out", (HttpContext context) => context.SignOutAsync());
app.MapDataSync("/datasync").RequireAuthorization();
app.MapFallbackToFile("index.html");

// The server makes the tables, so that no page needs to.
await using (var scope = app.Services.CreateAsyncScope())
{
    var database = await scope.ServiceProvider.GetRequiredService<DataSyncFactory>().OpenAsync();
    await database.ExecuteAsync(Schema.Sql);
}

app.Run();
