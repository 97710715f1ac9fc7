import Glibc
import LocalSystem
import Testing

/// Runs a test on an empty folder, which is removed afterwards.
func withScratchFolder(_ body: (Folder, String) throws -> Void) throws {
    let name = "local-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    let folder = try Folder.make("/tmp/" + name)
    defer { try? Folder("/tmp").remove(name) }
    try body(folder, folder.path)
}

@Suite("Folder")
struct FolderTests {
    private let secret = Array("secret".utf8)

    /// A folder beside another that it must not lead to.
    private func withSecret(_ body: (_ inside: Folder, _ outside: String) throws -> Void) throws {
        try withScratchFolder { folder, path in
            try folder.makeFolders("inside/sub", mode: 0o755)
            try folder.makeFolders("outside", mode: 0o755)
            try folder.write("outside/secret", secret)
            try body(try folder.folder("inside"), path + "/outside")
        }
    }

    private func error(_ body: () throws(FileError) -> Void) -> FileError? {
        do throws(FileError) {
            try body()
            return nil
        } catch { return error }
    }

    // MARK: Links

    @Test func withoutLinksNoneIsFollowed() throws {
        try withSecret { inside, outside in
            try inside.write("file", [1])
            symlink("file", inside.path + "/relative")
            symlink(outside + "/secret", inside.path + "/absolute")
            symlink(outside, inside.path + "/folder")
            for path in ["relative", "absolute", "folder/secret"] {
                #expect(error { () throws(FileError) in _ = try inside.openFile(path) }?.code == ELOOP, "\(path)")
                #expect(error { () throws(FileError) in _ = try inside.createFile(path) } != nil, "\(path)")
            }
            #expect(error { () throws(FileError) in _ = try inside.list("folder") } != nil)
            #expect(error { () throws(FileError) in try inside.makeFolders("folder/new", mode: 0o755) } != nil)
            #expect(error { () throws(FileError) in try inside.rename("file", "folder/file") } != nil)
            #expect(try Folder(outside).list().map(\.name) == ["secret"])
        }
    }

    @Test func dotsNeverLeadOut() throws {
        try withSecret { inside, _ in
            for links in [Folder.Links.refused, .insideRoot] {
                for path in ["../outside/secret", "sub/../../outside/secret"] {
                    #expect(
                        error { () throws(FileError) in _ = try inside.openFile(path, links: links) } != nil, "\(path)")
                }
            }
            for path in ["..", "sub/..", "sub/.", "../outside/secret"] {
                let refused = error { () throws(FileError) in try inside.remove(path) }
                #expect(refused != nil, "\(path)")
            }
            let kind = try inside.kind("sub")
            #expect(kind == .directory)
        }
    }

    @Test func insideRootAbsoluteLinksCountFromTheFolder() throws {
        try withSecret { inside, outside in
            try inside.write("sub/file", secret)
            symlink("/sub/file", inside.path + "/absolute")
            symlink("/sub", inside.path + "/folder")
            symlink("../../../../sub/file", inside.path + "/up")
            for path in ["absolute", "folder/file", "up"] {
                #expect(try inside.openFile(path, links: .insideRoot).read(10) == secret, "\(path)")
            }
            symlink(outside + "/secret", inside.path + "/out")
            #expect(
                error { () throws(FileError) in _ = try inside.openFile("out", links: .insideRoot) }?.isMissing == true)
            #expect(try inside.kind("out", links: .insideRoot) == nil && inside.kind("out") == .link)
            #expect(try inside.kind("folder", links: .insideRoot) == .directory)
            #expect(try inside.list("folder", links: .insideRoot).map(\.name) == ["file"])
        }
    }

    @Test func theKernelsOwnLinksAreNoWayOut() throws {
        try withSecret { inside, outside in
            symlink("/proc/self/root" + outside + "/secret", inside.path + "/magic")
            #expect(error { () throws(FileError) in _ = try inside.openFile("magic", links: .insideRoot) } != nil)
            let proc = try Folder("/proc/self")
            #expect(error { () throws(FileError) in _ = try proc.list("root", links: .insideRoot) } != nil)
        }
    }

    // MARK: What is no regular file

    @Test(.timeLimit(.minutes(5)))
    func fifosAndFoldersAreRefusedAtOnce() throws {
        try withScratchFolder { folder, path in
            mkfifo(path + "/fifo", 0o666)
            try folder.makeFolders("folder", mode: 0o755)
            for name in ["fifo", "folder"] {
                #expect(
                    error { () throws(FileError) in _ = try folder.openFile(name) }?.reason == "it is no regular file")
                #expect(error { () throws(FileError) in _ = try folder.createFile(name) } != nil)
                #expect(error { () throws(FileError) in _ = try folder.read(name, limit: 10) } != nil)
            }
            #expect(
                try folder.kind("fifo") == .other && folder.kind("folder") == .directory && folder.kind("none") == nil)
        }
    }

    // MARK: Whole files

    @Test func whatIsWrittenIsReadUpToALimit() throws {
        try withScratchFolder { folder, _ in
            let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
            try folder.write("file", bytes, mode: 0o640)
            #expect(try folder.read("file", limit: 1 << 20) == bytes)
            #expect(try folder.read("file", limit: 70_000) == Array(bytes.prefix(70_000)))
            #expect(try folder.read("file", limit: 0) == [])
            #expect(try folder.read("none", limit: 10) == nil && folder.read("none/none", limit: 10) == nil)
        }
    }

    @Test func writingReplacesTheNameAndLeavesOpenReadersTheOldBytes() throws {
        try withScratchFolder { folder, path in
            try folder.write("file", [1, 2, 3])
            let reader = try folder.openFile("file")
            try folder.write("file", [4])
            #expect(try reader.read(10) == [1, 2, 3] && folder.read("file", limit: 10) == [4])
            #expect(try folder.list().map(\.name) == ["file"])
            // What a broken write left is no hindrance, and a link in its place is not followed.
            symlink(path + "/file", path + "/file.new")
            try folder.write("file", [5])
            #expect(try folder.read("file", limit: 10) == [5] && folder.list().map(\.name) == ["file"])
        }
    }

    @Test(arguments: [UInt32(0o600), 0o644, 0o666, 0o444])
    func modesAreExactWhateverTheUmask(_ mode: UInt32) throws {
        try withScratchFolder { folder, path in
            try folder.write("file", [1], mode: mode)
            try folder.makeFolders("a/b", mode: mode | 0o311)
            var status = stat()
            #expect(stat(path + "/file", &status) == 0 && status.st_mode & 0o7777 == mode)
            #expect(stat(path + "/a/b", &status) == 0 && status.st_mode & 0o7777 == mode | 0o311)
            #expect(stat(path + "/a", &status) == 0 && status.st_mode & 0o7777 == mode | 0o311)
        }
    }

    @Test func anExclusiveFileIsMadeOnce() throws {
        try withScratchFolder { folder, _ in
            try folder.createFile("file", exclusive: true).write([1, 2])
            #expect(
                error { () throws(FileError) in _ = try folder.createFile("file", exclusive: true) }?.code == EEXIST)
            #expect(try folder.createFile("file", truncate: false).size() == 2)
            #expect(try folder.createFile("file").size() == 0)
        }
    }

    @Test func filesAreReadAndWrittenAtOffsets() throws {
        try withScratchFolder { folder, _ in
            let file = try folder.createFile("file")
            try file.write([4, 5], at: 3)
            try file.write([1, 2, 3], at: 0)
            #expect(
                try file.read(10, at: 0) == [1, 2, 3, 4, 5] && file.read(2, at: 4) == [5] && file.read(1, at: 9) == [])
            try file.truncate(to: 2)
            #expect(try file.size() == 2 && file.kind() == .regular)
        }
    }

    @Test func aLockIsHeldByOneOpenFile() throws {
        try withScratchFolder { folder, _ in
            let (first, second) = (try folder.createFile("lock"), try folder.createFile("lock"))
            #expect(first.lock() && !second.lock() && first.lock())
        }
    }

    // MARK: Trees

    @Test func listsInOrderWithKindsAndSizes() throws {
        try withScratchFolder { folder, path in
            for name in ["b", "a", ".hidden", "é", "line\nfeed"] { try folder.write(name, [1, 2, 3]) }
            try folder.makeFolders("folder", mode: 0o755)
            symlink("nowhere", path + "/link")
            mkfifo(path + "/fifo", 0o600)
            let entries = try folder.list()
            #expect(entries.map(\.name) == [".hidden", "a", "b", "fifo", "folder", "line\nfeed", "link", "é"])
            #expect(
                entries.map(\.kind) == [.regular, .regular, .regular, .other, .directory, .regular, .link, .regular])
            #expect(entries.first?.size == 3)
            #expect(error { () throws(FileError) in _ = try folder.list("none") }?.isMissing == true)
        }
    }

    @Test func removesTreesWithFoldersThatNobodyMayRead() throws {
        try withScratchFolder { folder, path in
            try folder.makeFolders("tree/closed/deep", mode: 0o755)
            try folder.write("tree/closed/deep/file", [1])
            symlink("/etc", path + "/tree/link")
            mkfifo(path + "/tree/fifo", 0o600)
            chmod(path + "/tree/closed/deep", 0)
            chmod(path + "/tree/closed", 0)
            try folder.remove("tree")
            #expect(try folder.list().isEmpty)
            #expect(access("/etc/passwd", F_OK) == 0)
        }
    }

    @Test func removingNothingIsNoError() throws {
        try withScratchFolder { folder, path in
            try folder.remove("none")
            try folder.remove("none/none")
            symlink("/etc", path + "/link")
            try folder.remove("link")
            #expect(try folder.list().isEmpty)
            #expect(error { () throws(FileError) in try folder.remove("") }?.code == EINVAL)
        }
    }

    @Test func deepTreesAreMadeAndRemoved() throws {
        try withScratchFolder { folder, _ in
            let deep = Array(repeating: "d", count: 200).joined(separator: "/")
            try folder.makeFolders(deep, mode: 0o755)
            try folder.makeFolders(deep, mode: 0o755)
            #expect(try folder.kind(deep) == .directory)
            try folder.remove("d")
            #expect(try folder.kind("d") == nil)
        }
    }

    @Test func knowsWhereItIsAndWhatIsFree() throws {
        try withScratchFolder { folder, path in
            symlink(path, path + "/link")
            let (linked, resolved) = (try Folder(path + "/link"), try resolvedPath(path))
            #expect(linked.realPath == resolved)
            #expect(folder.freeSpace() > 0)
            #expect(error { () throws(FileError) in _ = try Folder(path + "/none") }?.isMissing == true)
            #expect(error { () throws(FileError) in _ = try resolvedPath(path + "/none") }?.isMissing == true)
        }
    }

    @Test func errorsSayWhatCouldNotBeDone() {
        #expect(FileError("open", "/a", code: EACCES).description == "cannot open /a: Permission denied")
        #expect(FileError("open", "/a", code: EACCES).isUnusable && FileError("write", "/a", code: ENOSPC).isDiskFull)
        #expect(FileError("open", "/a", code: ENOTDIR).isMissing && !FileError("open", "/a", code: ELOOP).isMissing)
    }
}
