import Filer
import Glibc
import TES
import TaskCore
import Testing

@Suite("Uploading outputs")
struct UploadTests {
    private func reason(_ report: UploadReport) -> String? {
        if case .outputFailed(_, _, _, let reason)? = report.failure { reason } else { nil }
    }

    @Test func filesAreUploadedWithSizeAndChecksum() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/a", "hello")
            try harness.write(harness.workspace + "/out/empty", "")
            let report = await harness.upload(
                harness.output("/out/a", "file://\(harness.shared)/new/deep/a"),
                harness.output("/out/empty", harness.shared + "/empty"))
            #expect(report.failure == nil && report.missing.isEmpty && report.lines.isEmpty)
            #expect(
                harness.read(harness.shared + "/new/deep/a") == "hello"
                    && harness.read(harness.shared + "/empty")?.isEmpty == true)
            #expect(
                report.records.map(\.log.url) == ["file://\(harness.shared)/new/deep/a", harness.shared + "/empty"])
            #expect(report.records.map(\.log.path) == ["/out/a", "/out/empty"])
            #expect(report.records.map(\.log.sizeBytes) == [5, 0])
            #expect(
                report.records.map(\.checksum) == [
                    "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                ])
        }
    }

    @Test func largeFilesAreWhole() async throws {
        try await FilerHarness.with { harness in
            let large = String(repeating: "0123456789abcdef", count: 300_000)
            try harness.write(harness.workspace + "/out", large)
            let report = await harness.upload(harness.output("/out", harness.shared + "/out"))
            #expect(
                harness.read(harness.shared + "/out") == large
                    && report.records.first?.log.sizeBytes == Int64(large.utf8.count))
        }
    }

    @Test func anExistingFileIsReplacedAsAWhole() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/a", "a much longer old content")
            try harness.write(harness.workspace + "/a", "new")
            _ = await harness.upload(harness.output("/a", harness.shared + "/a"))
            #expect(harness.read(harness.shared + "/a") == "new" && harness.tree(harness.shared) == ["a"])
        }
    }

    @Test func aURLThatEndsInASlashTakesTheFilesName() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/a", "hello")
            let report = await harness.upload(harness.output("/out/a", harness.shared + "/folder/"))
            #expect(harness.read(harness.shared + "/folder/a") == "hello")
            #expect(report.records.map(\.log.url) == [harness.shared + "/folder/a"])
        }
    }

    @Test func directoriesKeepTheirShapeAndEmptyOnes() async throws {
        try await FilerHarness.with { harness in
            for path in ["/out/a", "/out/b/c", "/out/.hidden"] { try harness.write(harness.workspace + path, path) }
            try harness.makeFolder(harness.workspace + "/out/empty/er")
            let report = await harness.upload(harness.output("/out/", harness.shared + "/up/", .directory))
            #expect(report.failure == nil)
            #expect(harness.tree(harness.shared + "/up") == [".hidden", "a", "b", "b/c", "empty", "empty/er"])
            #expect(report.records.map(\.log.path) == ["/out/.hidden", "/out/a", "/out/b/c"])
        }
    }

    @Test func anEmptyDirectoryIsNotMissing() async throws {
        try await FilerHarness.with { harness in
            try harness.makeFolder(harness.workspace + "/out")
            let report = await harness.upload(harness.output("/out", harness.shared + "/up", .directory))
            #expect(report.missing.isEmpty && report.failure == nil && report.records.isEmpty)
            #expect(harness.isFolder(harness.shared + "/up"))
        }
    }

    @Test func aMissingOutputIsTold() async throws {
        try await FilerHarness.with { harness in
            let report = await harness.upload(
                harness.output("/out/a", harness.shared + "/a"),
                harness.output("/out", harness.shared + "/b", .directory))
            #expect(
                report.missing == [
                    .outputMissing(position: 0, path: "/out/a"), .outputMissing(position: 1, path: "/out"),
                ])
            #expect(report.failure == nil && report.records.isEmpty && harness.tree(harness.shared).isEmpty)
        }
    }

    @Test func theWrongTypeIsTold() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/a", "a")
            #expect(
                reason(await harness.upload(harness.output("/out", harness.shared + "/x")))?.contains(
                    "it is a directory") == true)
            let file = await harness.upload(harness.output("/out/a", harness.shared + "/x", .directory))
            #expect(reason(file)?.contains("it is a file") == true)
        }
    }

    // MARK: Patterns

    static let patterns: [(pattern: String, prefix: String, names: [String])] = [
        ("/out/*.txt", "/out", ["a.txt", "b.txt"]), ("/out/?.txt", "/out/", ["a.txt", "b.txt"]),
        ("/out/*/*.txt", "/out", ["sub/c.txt"]),
        ("/out/**/*.txt", "/out", ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("/out/{a,sub/c}.txt", "/out", ["a.txt", "sub/c.txt"]),
        ("/out/s*", "/out", ["sub/c.txt", "sub/deep/d.txt"]), ("/out/[ab].txt", "/", ["out/a.txt", "out/b.txt"]),
        ("/out/.*", "/out", [".hidden.txt"]), ("/out/sub/*.txt", "/out/sub", ["c.txt"]), ("/out/none*", "/out", []),
    ]

    @Test(arguments: patterns.indices)
    func patternsSelectFilesBelowThePrefix(_ index: Int) async throws {
        let (pattern, prefix, names) = Self.patterns[index]
        try await FilerHarness.with { harness in
            for path in [
                "/out/a.txt", "/out/b.txt", "/out/.hidden.txt", "/out/c.csv", "/out/sub/c.txt", "/out/sub/deep/d.txt",
            ] {
                try harness.write(harness.workspace + path, path)
            }
            let report = await harness.upload(harness.output(pattern, harness.shared + "/up", prefix: prefix))
            #expect(report.failure == nil && report.missing.isEmpty)
            #expect(report.records.map(\.log.url) == names.map { "\(harness.shared)/up/\($0)" })
            let base = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
            for name in names { #expect(harness.read("\(harness.shared)/up/\(name)") == "\(base)/\(name)") }
            #expect(report.lines == (names.isEmpty ? ["output 0 (\(pattern)) matches no file"] : []))
        }
    }

    @Test func withoutAPrefixAPatternIsAName() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/[a]{b}", "odd")
            try harness.write(harness.workspace + "/out/a", "even")
            let report = await harness.upload(harness.output("/out/[a]{b}", harness.shared + "/x"))
            #expect(harness.read(harness.shared + "/x") == "odd" && report.records.count == 1)
        }
    }

    @Test func aMatchedEmptyDirectoryIsMade() async throws {
        try await FilerHarness.with { harness in
            try harness.makeFolder(harness.workspace + "/out/d1")
            try harness.write(harness.workspace + "/out/d2/x", "x")
            let report = await harness.upload(
                harness.output("/out/d*", harness.shared + "/up", .directory, prefix: "/out"))
            #expect(report.failure == nil && harness.tree(harness.shared + "/up") == ["d1", "d2", "d2/x"])
        }
    }

    // MARK: A hostile workspace

    @Test func linksNeverLeadOutOfTheWorkspace() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.outside + "/secret", "secret")
            try harness.makeFolder(harness.workspace + "/out")
            try harness.link(harness.workspace + "/out/absolute", to: harness.outside + "/secret")
            try harness.link(harness.workspace + "/out/relative", to: "../../outside/secret")
            try harness.link(harness.workspace + "/out/folder", to: harness.outside)
            try harness.link(harness.workspace + "/out/proc", to: "/proc/self/root" + harness.outside + "/secret")
            let one = await harness.upload(
                harness.output("/out/absolute", harness.shared + "/1"),
                harness.output("/out/relative", harness.shared + "/2"),
                harness.output("/out/folder/secret", harness.shared + "/3"),
                harness.output("/out/proc", harness.shared + "/4"))
            #expect(one.records.isEmpty)
            let tree = await harness.upload(harness.output("/out", harness.shared + "/tree", .directory))
            let pattern = await harness.upload(harness.output("/out/*", harness.shared + "/pattern", prefix: "/out"))
            #expect(tree.records.isEmpty && pattern.records.isEmpty)
            #expect(!harness.tree(harness.shared).contains { harness.read(harness.shared + "/" + $0) == "secret" })
            #expect(tree.lines.count == 4)
        }
    }

    @Test func theContainersOwnLinksWork() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/data/real", "real")
            try harness.makeFolder(harness.workspace + "/out")
            try harness.link(harness.workspace + "/out/absolute", to: "/data/real")
            try harness.link(harness.workspace + "/out/relative", to: "../data/real")
            try harness.link(harness.workspace + "/out/folder", to: "/data")
            let file = await harness.upload(harness.output("/out/absolute", harness.shared + "/one"))
            #expect(file.failure == nil && harness.read(harness.shared + "/one") == "real")
            let tree = await harness.upload(harness.output("/out", harness.shared + "/tree", .directory))
            #expect(tree.failure == nil)
            #expect(harness.tree(harness.shared + "/tree") == ["absolute", "folder", "folder/real", "relative"])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func linkCirclesEnd() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/a/x", "x")
            try harness.link(harness.workspace + "/out/a/up", to: "/out")
            try harness.link(harness.workspace + "/out/self", to: "self")
            try harness.link(harness.workspace + "/out/here", to: ".")
            let report = await harness.upload(harness.output("/out", harness.shared + "/up", .directory))
            #expect(report.failure == nil && report.records.map(\.log.path) == ["/out/a/x"])
            #expect(report.lines.contains { $0.contains("/out/self") })
            let pattern = await harness.upload(harness.output("/out/**/x", harness.shared + "/pattern", prefix: "/out"))
            #expect(pattern.records.map(\.log.path) == ["/out/a/x"])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func specialFilesAreLeftOutAndDoNotBlock() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/out/a", "a")
            mkfifo(harness.workspace + "/out/fifo", 0o666)
            let report = await harness.upload(
                harness.output("/out", harness.shared + "/up", .directory),
                harness.output("/out/f*", harness.shared + "/p", prefix: "/out"))
            #expect(report.records.map(\.log.path) == ["/out/a"])
            #expect(report.lines.filter { $0.contains("/out/fifo is no regular file and was left out") }.count == 2)
            #expect(
                reason(await harness.upload(harness.output("/out/fifo", harness.shared + "/x")))?.contains(
                    "no regular file") == true)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func foldersWithLinksToEachOtherAreABoundedWalk() async throws {
        var configuration = FilerConfiguration()
        configuration.maximumEntries = 2000
        try await FilerHarness.with(configuration: configuration) { harness in
            for from in 0..<12 {
                try harness.makeFolder("\(harness.workspace)/out/\(from)")
                for to in 0..<12 where to != from {
                    try harness.link("\(harness.workspace)/out/\(from)/\(to)", to: "../\(to)")
                }
            }
            let report = await harness.upload(harness.output("/out", harness.shared + "/up", .directory))
            #expect(reason(report)?.contains("more than 2000 files and folders") == true)
            #expect(report.lines.count <= 21)
        }
    }

    @Test func linesAreBounded() async throws {
        try await FilerHarness.with { harness in
            try harness.makeFolder(harness.workspace + "/out")
            for number in 0..<50 { mkfifo("\(harness.workspace)/out/\(number)", 0o666) }
            let report = await harness.upload(harness.output("/out", harness.shared + "/up", .directory))
            #expect(report.lines.count == 21 && report.lines.last == "output 0: and 30 more that were left out")
        }
    }

    @Test func whatADirectoryCannotBeReadForFailsIt() async throws {
        try await FilerHarness.with { harness in
            let deep = (0..<120).map { _ in "d" }.joined(separator: "/")
            try harness.makeFolder(harness.workspace + "/deep/" + deep)
            let name = Array((harness.workspace + "/named/").utf8) + [0xFF, 0]
            try harness.makeFolder(harness.workspace + "/named")
            close(open(name.map { CChar(bitPattern: $0) }, O_CREAT | O_WRONLY, 0o600))
            let report = await harness.upload(harness.output("/deep", harness.shared + "/deep", .directory))
            #expect(reason(report)?.contains("deeper than 100 directories") == true)
            let named = await harness.upload(harness.output("/named", harness.shared + "/named", .directory))
            #expect(reason(named)?.contains("no UTF-8") == true)
        }
    }

    // MARK: Targets

    @Test func theServersOwnFolderTakesNoOutputs() async throws {
        try await FilerHarness.with { harness in
            try harness.makeFolder(harness.shared + "/closed")
            try harness.write(harness.workspace + "/a", "a")
            let report = await harness.upload(harness.output("/a", harness.shared + "/closed/new/a"))
            #expect(reason(report)?.contains("own files") == true)
            #expect(harness.tree(harness.shared + "/closed").isEmpty)
        }
    }

    @Test func everyOutputIsTried() async throws {
        var configuration = FilerConfiguration()
        configuration.parallelTransfers = 1
        try await FilerHarness.with(configuration: configuration) { harness in
            for name in ["a", "b", "c"] { try harness.write(harness.workspace + "/" + name, name) }
            let report = await harness.upload(
                harness.output("/a", harness.readOnly + "/a"), harness.output("/b", harness.shared + "/b"),
                harness.output("/c", harness.outside + "/c"))
            #expect(report.records.map(\.log.path) == ["/b"] && harness.read(harness.shared + "/b") == "b")
            guard case .outputFailed(position: 0, _, path: "/a", _)? = report.failure else {
                Issue.record("\(String(describing: report.failure))")
                return
            }
            #expect(report.lines.count == 1 && report.lines.first?.hasPrefix("output 2 (/c to ") == true)
        }
    }

    @Test func ofOneOutputOnlyAFewFailuresAreTold() async throws {
        var configuration = FilerConfiguration()
        configuration.parallelTransfers = 1
        try await FilerHarness.with(configuration: configuration) { harness in
            for number in 0..<30 { try harness.write("\(harness.workspace)/out/\(number)", "x") }
            let report = await harness.upload(harness.output("/out", harness.readOnly + "/up", .directory))
            #expect(report.failure != nil && report.lines.count == 5)
            #expect(report.lines.last == "output 0: 25 more of its files were not tried after 5 failed")
        }
    }

    @Test func readOnlyRootsAndOutsidesAreRefused() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.workspace + "/a", "a")
            try harness.link(harness.shared + "/link", to: harness.outside)
            for url in [
                harness.readOnly + "/a", harness.outside + "/a", harness.shared + "/link/a", "/a",
                "file://\(harness.shared)/%2e%2e/outside/a", "file://elsewhere\(harness.shared)/a",
            ] {
                #expect(reason(await harness.upload(harness.output("/a", url))) != nil, "\(url)")
            }
            #expect(harness.tree(harness.readOnly).isEmpty && harness.tree(harness.outside).isEmpty)
        }
    }

    @Test func httpTakesNoOutputs() async throws {
        try await FilerHarness.with(retries: 2) { harness in
            try harness.write(harness.workspace + "/a", "a")
            let report = await harness.upload(harness.output("/a", "http://user:password@127.0.0.1:1/x?sig=secret"))
            #expect(reason(report)?.contains("cannot be written over http") == true)
            let sentence = try #require(report.failure?.sentence)
            #expect(!sentence.contains("secret") && !sentence.contains("password"))
        }
    }

    @Test func oneFailureLeavesTheOthersRecords() async throws {
        try await FilerHarness.with { harness in
            for name in ["a", "b"] { try harness.write(harness.workspace + "/" + name, name) }
            let report = await harness.upload(
                harness.output("/a", harness.shared + "/a"), harness.output("/b", "gs://nobody/b"))
            #expect(report.records.map(\.log.path) == ["/a"])
            guard case .outputFailed(position: 1, _, path: "/b", _)? = report.failure else {
                Issue.record("\(String(describing: report.failure))")
                return
            }
        }
    }
}

@Suite("Remote URL")
struct RemoteURLTests {
    @Test(arguments: [
        ("/a/b", "file", "", "/a/b", ""), ("file:///a%20b", "file", "", "/a b", ""),
        ("file:/a", "file", "", "/a", ""),
        ("S3://Bucket/Key?x#y", "s3", "Bucket", "/Key?x#y", ""), ("s3://bucket", "s3", "bucket", "", ""),
        ("https://h:1/p?q=r?s#t", "https", "h:1", "/p", "?q=r?s"), ("http://h#x", "http", "h", "", ""),
    ])
    func isTakenApart(_ text: String, _ scheme: String, _ authority: String, _ path: String, _ query: String) throws {
        let url = try #require(RemoteURL(text))
        #expect(url.scheme == scheme && url.authority == authority && url.path == path && url.query == query)
    }

    /// A slash with a combining mark after it is one character for Swift.
    @Test func slashesAreBytes() throws {
        #expect(RemoteURL("/\u{301}x")?.scheme == "file")
        let url = try #require(RemoteURL("s3://bucket/\u{301}key"))
        #expect(url.authority == "bucket" && url.path == "/\u{301}key")
    }

    @Test(arguments: ["", "a/b", "s3", "s3:bucket", "_:x"])
    func otherTextIsNoURL(_ text: String) { #expect(RemoteURL(text) == nil) }

    @Test func namesBelowAreAppended() throws {
        #expect(try #require(RemoteURL("s3://b/k/")).appending("a b/c").description == "s3://b/k/a b/c")
        #expect(try #require(RemoteURL("/a")).appending("b").path == "/a/b")
    }

    @Test func whatIsShownHoldsNoSecrets() throws {
        let url = try #require(RemoteURL("https://user:password@h/p?X-Amz-Signature=secret"))
        #expect(url.redacted == "https://h/p?…")
        #expect(RemoteURL("https://h?token=secret")?.redacted == "https://h?…")
    }

    @Test(arguments: [("/a", "/a", false), ("/a:ro", "/a", false), ("/a:rw", "/a", true), ("/a:b", "/a:b", false)])
    func rootsAreReadFromArguments(_ argument: String, _ path: String, _ isWritable: Bool) {
        #expect(FileRoot(argument: argument) == FileRoot(path: path, isWritable: isWritable))
        #expect(FileRoot(argument: "relative:rw") == nil)
    }
}
