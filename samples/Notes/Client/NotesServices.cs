using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Notes.Client;

/// <summary>What <see cref="NoteList"/> needs, in the browser and on the server, which renders it first.</summary>
public static class NotesServices
{
    public static IServiceCollection AddNotes(this IServiceCollection services) => services.AddDataSync(o => o.Database("notes.db"));
}
