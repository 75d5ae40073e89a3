using System.Net.WebSockets;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;
using DataSync.Vfs.Native;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>Frames that are nearly right, by a seed: none does more than to end its own connection.</summary>
public sealed class FrameFuzzTests
{
    private const int Connections = 15, Frames = 30;

    private static readonly CommitMessageKind[] Allowed =
        [CommitMessageKind.Commit, CommitMessageKind.Statements, CommitMessageKind.Question, CommitMessageKind.WhoLeads, CommitMessageKind.TurnRequest, CommitMessageKind.TurnRelease];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task No_frame_harms_the_server_or_speaks_in_anothers_name(int seed)
    {
        var directory = Directory.CreateTempSubdirectory("server-tests-").FullName;
        var (log, dice) = (new ListLogger(), new Random(seed));
        var place = new OddPlace(new DirectoryPlace(new FileStoreOptions { BaseDirectory = directory }, TimeProvider.System, NullLogger.Instance));
        await using (var server = await TestServer.StartAsync(o => o.AllowEverybody().StatementFilter = (_, _, _) => true, log, databases: services => services.AddSingleton(new DataSyncFactory(place, new DataSyncOptions()))))
        {
            var client = await server.OpenAsync();
            await client.ExecuteAsync(Entries.Table);
            var ended = 0;
            for (var i = 0; i < Connections; i++)
            {
                await using var raw = await RawClient.JoinAsync(server);
                try
                {
                    for (var n = 0; n < Frames; n++) await raw.SendAsync(Mutate(dice, Make(dice, raw, client.Coordinator.Id)));
                    await raw.SendAsync(new(FrameKind.Open, 999, raw.Tab));
                    await raw.UntilAsync(frame => frame.Request == 999);
                }
                catch (Exception error) when (error is WebSocketException or RawClient.ClosedException)
                {
                    ended++;
                }
            }

            Assert.InRange(ended, 1, Connections);
            Assert.DoesNotContain(6014, log.Ids); // nothing that is not the protocol's
            Assert.InRange(place.Passed, 10, int.MaxValue);
            Assert.Equal(0, place.Foreign);
            await client.ExecuteAsync("INSERT INTO entry (writer, number) VALUES ('a', 1)").WaitAsync(TestServer.Patience);
            Assert.Equal(1, (await (await server.OpenHereAsync()).QueryAsync<long>("SELECT count(*) FROM entry")).Single());
        }

        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public void Every_kind_of_frame_is_read_as_it_was_written()
    {
        foreach (var kind in Enum.GetValues<FrameKind>())
        {
            var frame = Frame.Parse(new Frame(kind, 7, TabId.New(TimeProvider.System), new byte[] { 1, 2 }).Encode());
            Assert.Equal((kind, 7U, 2), (frame.Kind, frame.Request, frame.Body.Length));
        }

        Assert.Throws<ProtocolException>(() => Frame.Parse(new Frame(Enum.GetValues<FrameKind>().Max() + 1, 7, default).Encode()));
    }

    private static byte[] Make(Random dice, RawClient raw, TabId other)
    {
        var message = raw.MakeMessage(dice.Next(15) == 0 ? (CommitMessageKind)dice.Next(1, 13) : Allowed[dice.Next(Allowed.Length)], m => m with
        {
            Position = new(dice.Next(5), new(Guid.NewGuid())),
            Turn = dice.Next(3),
            Sender = dice.Next(60) == 0 ? other : m.Sender,
            Records = m.Kind == CommitMessageKind.Statements && dice.Next(20) != 0
                ? [[.. Guid.NewGuid().ToByteArray(), .. StatementBody.Encode(0, [new TravellingStatement("SELECT 1", null, IsMany: false)], value => value)!]]
                : [.. Enumerable.Range(0, dice.Next(3)).Select(_ => Bytes(dice, dice.Next(60)))],
        });
        return dice.Next(40) switch
        {
            < 4 => new Frame(FrameKind.Read, (uint)dice.Next(dice.Next(10) == 0 ? 0 : 3, 9), raw.Tab, Bodies.Read(new(new ReadResult(), dice.Next(2) == 0, dice.Next(5)))).Encode(),
            < 8 => new Frame(FrameKind.Open, (uint)dice.Next(3, 9), raw.Tab).Encode(),
            < 10 => new Frame(FrameKind.Join, 1, dice.Next(9) == 0 ? other : raw.Tab, raw.Secret).Encode(),
            10 => new Frame((FrameKind)dice.Next(1, 16), (uint)dice.Next(3), raw.Tab, Bytes(dice, dice.Next(100))).Encode(),
            _ => new Frame(FrameKind.Message, 0, dice.Next(60) == 0 ? other : raw.Tab, message.Encode()).Encode(),
        };
    }

    /// <summary>Most go as they are, or no connection would get far.</summary>
    private static byte[] Mutate(Random dice, byte[] frame)
    {
        switch (dice.Next(60))
        {
            case 0:
                frame[dice.Next(frame.Length)] ^= (byte)(1 << dice.Next(8));
                return frame;
            case 1:
                return frame[..dice.Next(frame.Length)];
            case 2:
                return [.. frame, .. Bytes(dice, dice.Next(1, 50))];
            case 3:
                Bytes(dice, Math.Min(8, frame.Length)).CopyTo(frame.AsSpan(dice.Next(Math.Max(1, frame.Length - 8))));
                return frame;
            default:
                return frame;
        }
    }

    private static byte[] Bytes(Random dice, int count)
    {
        var bytes = new byte[count];
        dice.NextBytes(bytes);
        return bytes;
    }
}
