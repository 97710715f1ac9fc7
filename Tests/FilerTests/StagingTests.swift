import Filer
import Glibc
import HTTPClient
import TES
import TaskCore
import Testing

@Suite("Staging inputs")
struct StagingTests {
    private func reason(_ cause: Cause?) -> String? {
        if case .inputUnavailable(_, _, _, let reason)? = cause { reason } else { nil }
    }

    @Test func contentIsWrittenForEverybody() async throws {
        try await FilerHarness.with { harness in
            let large = String(repeating: "é\n", count: 300_000)
            let cause = await harness.stage(
                TESInput(path: "/in/deep/a", type: .file, content: "hello"),
                TESInput(path: "/in/empty", type: .file, content: ""),
                TESInput(path: "/in/large", type: .file, content: large))
            #expect(cause == nil)
            #expect(harness.staged("/in/deep/a") == "hello" && harness.staged("/in/empty")?.isEmpty == true)
            #expect(harness.staged("/in/large") == large)
            #expect(harness.mode(harness.workspace + "/in/deep/a") == 0o666)
            #expect(harness.mode(harness.workspace + "/in/deep") == 0o777)
        }
    }

    @Test func aNameMayBeAsLongAsTheDiskTakes() async throws {
        try await FilerHarness.with { harness in
            let path = "/in/" + String(repeating: "n", count: 255)
            #expect(await harness.stage(TESInput(path: path, type: .file, content: "hello")) == nil)
            #expect(harness.staged(path) == "hello")
        }
    }

    @Test func contentWinsOverAURL() async throws {
        try await FilerHarness.with { harness in
            let input = TESInput(url: "gs://nobody/knows", path: "/in", type: .file, content: "content")
            #expect(await harness.stage(input) == nil)
            #expect(harness.staged("/in") == "content")
        }
    }

    @Test(arguments: ["", "file://", "file:", "FILE://", "file://localhost"])
    func filesAreCopied(_ prefix: String) async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/a b", "one")
            try harness.write(harness.readOnly + "/c", "two")
            let cause = await harness.stage(
                harness.file(prefix + harness.shared + "/a%20b", "/in/a"),
                harness.file(prefix + harness.readOnly + "/c", "/in/c"))
            if prefix.isEmpty {
                // A bare path is a path, not a URL: nothing in it is decoded.
                #expect(reason(cause)?.contains("there is no file") == true)
                #expect(await harness.stage(harness.file(harness.shared + "/a b", "/in/a")) == nil)
            } else {
                #expect(cause == nil)
                #expect(harness.staged("/in/c") == "two")
            }
            #expect(harness.staged("/in/a") == "one")
        }
    }

    @Test func directoriesAreCopiedWithEmptyOnes() async throws {
        try await FilerHarness.with { harness in
            for path in ["/tree/a", "/tree/b/c", "/tree/.hidden"] { try harness.write(harness.shared + path, path) }
            try harness.makeFolder(harness.shared + "/tree/empty/er")
            #expect(await harness.stage(harness.directory("file://\(harness.shared)/tree/", "/in/t/")) == nil)
            #expect(harness.tree(harness.workspace + "/in/t") == [".hidden", "a", "b", "b/c", "empty", "empty/er"])
            #expect(harness.staged("/in/t/b/c") == "/tree/b/c")
            #expect(harness.mode(harness.workspace + "/in/t/empty/er") == 0o777)
        }
    }

    @Test(arguments: ["_:", "_:anything at all"])
    func aBlankURLIsAnEmptyDirectory(_ url: String) async throws {
        try await FilerHarness.with { harness in
            #expect(await harness.stage(harness.directory(url, "/in/new")) == nil)
            #expect(
                harness.isFolder(harness.workspace + "/in/new") && harness.tree(harness.workspace + "/in/new").isEmpty)
            #expect(harness.mode(harness.workspace + "/in/new") == 0o777)
        }
    }

    @Test func anEmptyDirectoryIsMade() async throws {
        try await FilerHarness.with { harness in
            try harness.makeFolder(harness.shared + "/nothing")
            #expect(await harness.stage(harness.directory(harness.shared + "/nothing", "/in/nothing")) == nil)
            #expect(harness.isFolder(harness.workspace + "/in/nothing"))
        }
    }

    @Test func filesReplaceWhatCameWithADirectoryWhateverTheOrder() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/tree/a", "of the tree")
            try harness.write(harness.shared + "/tree/b", "of the tree")
            let cause = await harness.stage(
                TESInput(path: "/in/a", type: .file, content: "of the file"),
                harness.directory(harness.shared + "/tree", "/in"))
            #expect(cause == nil)
            #expect(harness.staged("/in/a") == "of the file" && harness.staged("/in/b") == "of the tree")
        }
    }

    @Test func theSameInputTwiceIsOne() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response("hello") }
        defer { server.close() }
        try await FilerHarness.with { harness in
            let input = harness.file(server.url("/x"), "/in/x")
            #expect(await harness.stage(input, input) == nil)
            #expect(harness.staged("/in/x") == "hello" && server.targets == ["/x"])
        }
    }

    // MARK: What file URLs may not do

    @Test func whatLiesOutsideTheRootsIsRefusedWithTheRemedy() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.outside + "/secret", "secret")
            try harness.link(harness.shared + "/link", to: harness.outside + "/secret")
            try harness.link(harness.shared + "/folder", to: harness.outside)
            try harness.makeFolder(harness.shared + "-sibling")
            try harness.write(harness.shared + "-sibling/x", "x")
            for url in [
                harness.outside + "/secret", harness.shared + "/link", harness.shared + "/folder/secret",
                harness.shared + "-sibling/x", "file://" + harness.shared + "/%2e%2e/outside/secret",
            ] {
                let cause = await harness.stage(harness.file(url, "/in/x"))
                let told = try #require(reason(cause), "\(url) was read")
                #expect(told.contains("--allow-files") || told.contains("plain absolute path"), "\(told)")
                #expect(harness.tree(harness.workspace + "/in").isEmpty)
            }
        }
    }

    @Test func linksInADirectoryThatLeadOutAreRefused() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.outside + "/secret", "secret")
            try harness.write(harness.shared + "/tree/a", "a")
            try harness.link(harness.shared + "/tree/link", to: "../../outside/secret")
            #expect(
                reason(await harness.stage(harness.directory(harness.shared + "/tree", "/in")))?.contains(
                    "--allow-files") == true)
            #expect(harness.staged("/in/link") == nil)
        }
    }

    @Test func linksThatStayInsideAreFollowed() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/real/a", "a")
            try harness.link(harness.shared + "/link", to: "real/a")
            #expect(await harness.stage(harness.file(harness.shared + "/link", "/in/x")) == nil)
            #expect(harness.staged("/in/x") == "a")
        }
    }

    @Test func linkedDirectoriesInADirectoryAreFollowedInsideTheRoots() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/real/deep/a", "a")
            try harness.makeFolder(harness.shared + "/tree")
            try harness.link(harness.shared + "/tree/link", to: "../real")
            #expect(await harness.stage(harness.directory(harness.shared + "/tree", "/in")) == nil)
            #expect(harness.tree(harness.workspace + "/in") == ["link", "link/deep", "link/deep/a"])
            try harness.link(harness.shared + "/real/deep/up", to: "../..")
            let circle = await harness.stage(harness.directory(harness.shared + "/tree", "/again"))
            #expect(reason(circle)?.contains("leads back") == true)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func linksToEachOtherEnd() async throws {
        var configuration = FilerConfiguration()
        configuration.maximumEntries = 500
        try await FilerHarness.with(configuration: configuration) { harness in
            for from in 0..<9 {
                try harness.makeFolder("\(harness.shared)/tree/\(from)")
                for to in 0..<9 where to != from {
                    try harness.link("\(harness.shared)/tree/\(from)/\(to)", to: "../\(to)")
                }
            }
            let cause = await harness.stage(harness.directory(harness.shared + "/tree", "/in"))
            #expect(reason(cause) != nil)
        }
    }

    @Test func theServersOwnFolderIsClosed() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/closed/worker", "secret")
            try harness.link(harness.shared + "/link", to: "closed")
            for input in [
                harness.file(harness.shared + "/closed/worker", "/in"),
                harness.file(harness.shared + "/link/worker", "/in"),
                harness.directory(harness.shared, "/in"), harness.directory(harness.shared + "/closed", "/in"),
            ] {
                #expect(reason(await harness.stage(input))?.contains("own files") == true)
            }
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aFIFOIsRefusedAndDoesNotBlock() async throws {
        try await FilerHarness.with { harness in
            mkfifo(harness.shared + "/fifo", 0o666)
            #expect(
                reason(await harness.stage(harness.file(harness.shared + "/fifo", "/in/x")))?.contains(
                    "no regular file") == true)
            try harness.write(harness.shared + "/tree/a", "a")
            mkfifo(harness.shared + "/tree/fifo", 0o666)
            #expect(await harness.stage(harness.directory(harness.shared + "/tree", "/in/t")) == nil)
            #expect(harness.tree(harness.workspace + "/in/t") == ["a"])
        }
    }

    @Test func aTaskWithoutRootsIsToldHowToGetThem() async throws {
        try await FilerHarness.with { harness in
            let client = HTTPClient()
            defer { client.close() }
            let filer = Filer.standard(FilerConfiguration(), client: client)
            let cause = await filer.stage([harness.file("/etc/hostname", "/in/x")], into: harness.root)
            #expect(reason(cause)?.contains("--allow-files DIR") == true)
        }
    }

    // MARK: Over HTTP

    @Test func httpIsFetchedWithItsQuery() async throws {
        let server = AnswerServer { target, _ in AnswerServer.response("got \(target)") }
        defer { server.close() }
        try await FilerHarness.with { harness in
            #expect(await harness.stage(harness.file(server.url("/a%20b?sig=x&y"), "/in/x")) == nil)
            #expect(harness.staged("/in/x") == "got /a%20b?sig=x&y")
        }
    }

    @Test func whatMayWorkLaterIsTriedAgain() async throws {
        let server = AnswerServer { target, time in
            switch (target, time) {
            case ("/busy", 1...2): AnswerServer.response(status: 503)
            case ("/short", 1): AnswerServer.response("only a part of what is left of the old", length: 100)
            default: AnswerServer.response("whole")
            }
        }
        defer { server.close() }
        try await FilerHarness.with(retries: 3) { harness in
            #expect(
                await harness.stage(
                    harness.file(server.url("/busy"), "/in/busy"), harness.file(server.url("/short"), "/in/short"))
                    == nil)
            #expect(harness.staged("/in/busy") == "whole" && harness.staged("/in/short") == "whole")
            #expect(server.targets.count { $0 == "/busy" } == 3 && server.targets.count { $0 == "/short" } == 2)
        }
    }

    @Test(arguments: [(404, 1), (403, 1), (400, 1), (500, 3), (429, 3)])
    func failuresAreToldAndTriedAgainOnlyWhereThatHelps(_ status: Int, _ times: Int) async throws {
        let server = AnswerServer { _, _ in AnswerServer.response("an error page", status: status) }
        defer { server.close() }
        try await FilerHarness.with(retries: 2) { harness in
            let cause = await harness.stage(harness.file(server.url("/x?signature=secret"), "/in/x"))
            guard case .inputUnavailable(0, let url, "/in/x", let reason)? = cause else {
                Issue.record("\(String(describing: cause))")
                return
            }
            #expect(reason.contains("\(status)") && server.targets.count == times)
            #expect(!url.contains("secret") && cause?.sentence?.contains("secret") == false)
            #expect(harness.tree(harness.workspace + "/in").isEmpty)
        }
    }

    @Test func aPartialFileNeverBearsItsName() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response("only a part", length: 1000) }
        defer { server.close() }
        try await FilerHarness.with(retries: 1) { harness in
            #expect(await harness.stage(harness.file(server.url("/x"), "/in/x")) != nil)
            #expect(harness.tree(harness.workspace + "/in").isEmpty)
            #expect(server.targets.count == 2)
        }
    }

    @Test func aDirectoryCannotBeReadOverHTTP() async throws {
        try await FilerHarness.with { harness in
            let cause = await harness.stage(harness.directory("http://127.0.0.1:1/tree", "/in"))
            #expect(reason(cause)?.contains("a directory cannot be read over http") == true)
        }
    }

    @Test func theFirstFailureNamesItsInput() async throws {
        try await FilerHarness.with { harness in
            try harness.write(harness.shared + "/a", "a")
            let cause = await harness.stage(
                harness.file(harness.shared + "/a", "/in/a"), harness.file(harness.shared + "/b", "/in/b"))
            guard case .inputUnavailable(position: 1, _, path: "/in/b", let reason)? = cause else {
                Issue.record("\(String(describing: cause))")
                return
            }
            #expect(reason == "there is no file \(harness.shared)/b on this server")
        }
    }

    @Test func anUnknownSchemeIsTold() async throws {
        try await FilerHarness.with { harness in
            #expect(reason(await harness.stage(harness.file("gs://b/k", "/in")))?.contains("gs://b/k") == true)
        }
    }
}
