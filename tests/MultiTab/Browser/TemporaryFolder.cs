namespace DataSync.MultiTab.Browser;

internal static class TemporaryFolder
{
    private const int Attempts = 20;

    /// <summary>Deletes a profile; a browser that is just ending may still write to it for a moment.</summary>
    public static void Delete(string folder)
    {
        for (var attempt = 1; Directory.Exists(folder); attempt++)
        {
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (IOException) when (attempt < Attempts)
            {
                Thread.Sleep(100);
            }
        }
    }
}
