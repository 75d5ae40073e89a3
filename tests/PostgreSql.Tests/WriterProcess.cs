namespace DataSync.PostgreSql.Tests;

internal static class WriterProcess
{
    public static int Main() => 0;
}
