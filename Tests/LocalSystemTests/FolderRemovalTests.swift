import Glibc
import LocalSystem
import Testing

@Suite("Removing hostile trees")
struct FolderRemovalTests {
    /// A path's bytes with a name that is no UTF-8 behind them.
    private func raw(_ folder: String, _ name: [UInt8]) -> [CChar] {
        (Array(folder.utf8) + [47] + name + [0]).map { CChar(bitPattern: $0) }
    }

    @Test func namesThatAreNoUTF8AreToldAndRemoved() throws {
        try withScratchFolder { folder, path in
            try folder.makeFolders("tree", mode: 0o755)
            #expect(mkdir(raw(path + "/tree", [0xFF, 0x61]), 0o755) == 0)
            let inner: [UInt8] = [0xFF, 0x61, 47, 0xC3]
            #expect(close(open(raw(path + "/tree", inner), O_CREAT | O_WRONLY, 0o600)) == 0)
            let entries = try folder.list("tree")
            #expect(entries.map(\.isText) == [false] && entries.map(\.kind) == [.directory])
            try folder.remove("tree")
            #expect(try folder.list().isEmpty)
        }
    }

    /// Deeper than a path is long, and than a process has descriptors.
    @Test(.timeLimit(.minutes(5)))
    func deepTreesAreRemoved() throws {
        try withScratchFolder { folder, path in
            var place = open(path, O_RDONLY | O_DIRECTORY)
            for _ in 0..<6000 {
                guard mkdirat(place, "deeper", 0o755) == 0 else { break }
                let file = openat(place, "file", O_CREAT | O_WRONLY, 0o600)
                close(file)
                let next = openat(place, "deeper", O_RDONLY | O_DIRECTORY)
                close(place)
                place = next
            }
            #expect(place >= 0)
            close(place)
            try folder.remove("deeper")
            try folder.remove("file")
            #expect(try folder.list().isEmpty)
        }
    }

    @Test func manyFoldersBesideEachOtherAreRemoved() throws {
        try withScratchFolder { folder, _ in
            for outer in 0..<20 { for inner in 0..<20 { try folder.makeFolders("t/\(outer)/\(inner)/x", mode: 0o755) } }
            try folder.remove("t")
            #expect(try folder.list().isEmpty)
        }
    }

    @Test func aRemovalCanBeBrokenOff() throws {
        try withScratchFolder { folder, _ in
            try folder.makeFolders("tree/inner", mode: 0o755)
            do throws(FileError) {
                try folder.remove("tree", isCancelled: { true })
                Issue.record("it was removed")
            } catch { #expect(error.code == FileError.cancelled) }
            #expect(try folder.kind("tree") == .directory)
        }
    }

    /// For Swift a slash with a combining mark is one character; the kernel knows bytes.
    @Test func pathsAreCutAtBytes() throws {
        try withScratchFolder { folder, path in
            try folder.makeFolders("outer/\u{301}inner", mode: 0o755)
            #expect(try folder.list().map(\.name) == ["outer"])
            #expect(try folder.list("outer").map(\.name) == ["\u{301}inner"])
            try folder.write("outer/\u{301}inner/x", [1])
            symlink("/etc", path + "/link")
            do throws(FileError) {
                try folder.remove("link/\u{301}")
                Issue.record("the link was followed")
            } catch { #expect(error.isUnusable || error.isMissing) }
            try folder.rename("outer/\u{301}inner/x", "outer/\u{301}y")
            #expect(try folder.kind("outer/\u{301}y") == .regular)
        }
    }

    @Test func anUnnamedFileHasNoNameUntilItGetsOne() throws {
        try withScratchFolder { folder, _ in
            guard let file = try folder.createUnnamed("", mode: 0o644) else { return }
            try file.write([1, 2])
            #expect(try folder.list().isEmpty)
            try folder.name(file, "file")
            try folder.synchronize("")
            #expect(try folder.read("file", limit: 10) == [1, 2])
        }
    }
}

@Suite("Work on disk")
struct DiskThreadTests {
    @Test func resultsAndErrorsComeBack() async throws {
        #expect(await onDisk { _ in 7 } == 7)
        do throws(FileError) {
            try await onDisk { _ throws(FileError) in throw FileError("read", "/x", code: EIO) }
        } catch { #expect(error.code == EIO) }
    }

    private final class Held: Sendable {}

    /// A file that a job held open is closed, also where no other job comes.
    @Test func nothingIsKeptOfAJobThatIsDone() async throws {
        for _ in 0..<10 {
            var held: Held? = Held()
            weak let seen = held
            await onDisk { [held] _ in withExtendedLifetime(held) {} }
            held = nil
            // The thread lets go a moment after it answered.
            for _ in 0..<1000 where seen != nil { try await Task.sleep(for: .milliseconds(1)) }
            #expect(seen == nil)
        }
    }

    /// Far more blocking calls than Swift has threads leave it time for others.
    @Test(.timeLimit(.minutes(5)))
    func othersRunMeanwhile() async throws {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let (reader, writer) = (ends[0], ends[1])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    await onDisk { _ in
                        var byte: UInt8 = 0
                        read(reader, &byte, 1)
                    }
                }
            }
            // Would never be reached where the reads held Swift's own threads.
            group.addTask {
                await Task.yield()
                let bytes = [UInt8](repeating: 1, count: 32)
                write(writer, bytes, bytes.count)
            }
        }
        close(reader)
        close(writer)
    }

    @Test(.timeLimit(.minutes(5)))
    func aCancelIsSeen() async throws {
        let task = Task {
            await onDisk { isCancelled in
                while !isCancelled() { usleep(1000) }
                return true
            }
        }
        task.cancel()
        #expect(await task.value)
    }
}
