import Filer
import Foundation
import HTTPClient
import Synchronization
import TES
import TaskCore
import Testing

/// Folders with a login each, as Kubernetes mounts Secrets.
struct LoginFolders {
    let path: String

    static func with(_ body: (LoginFolders) async throws -> Void) async throws {
        let path = "/tmp/logins-\(UUID().uuidString.lowercased())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(LoginFolders(path: path))
    }

    /// Writes a login's files; its folder.
    @discardableResult
    func write(_ name: String, _ entries: [String: String]) throws -> String {
        let folder = path + "/" + name
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for (entry, text) in entries { try Data(text.utf8).write(to: URL(filePath: folder + "/" + entry)) }
        return folder
    }

    /// A login whose key is `KEY` and whose secret is `SECRET-OF-KEY`.
    @discardableResult
    func login(_ name: String, _ key: String, _ more: [String: String] = [:]) throws -> String {
        try write(name, more.merging(["access_key": key + "\n", "secret_key": "SECRET-OF-\(key)\n"]) { own, _ in own })
    }

    /// The same as the kubelet does it: files are links into a folder that another link names, and that one is replaced.
    func kubernetesLogin(_ name: String, _ key: String) throws -> String {
        let folder = path + "/" + name
        let version = "..\(UUID().uuidString)"
        try login(name + "/" + version, key)
        let files = FileManager.default
        let temporary = folder + "/..data_tmp"
        try files.createSymbolicLink(atPath: temporary, withDestinationPath: version)
        rename(temporary, folder + "/..data")
        for entry in ["access_key", "secret_key"] where !files.fileExists(atPath: folder + "/" + entry) {
            try files.createSymbolicLink(atPath: folder + "/" + entry, withDestinationPath: "..data/" + entry)
        }
        return folder
    }
}

extension AnswerServer {
    /// The access keys of all requests, `-` where one was not signed.
    var keys: [String] {
        requests.map { $0.firstMatch(of: /Credential=([^\/]+)\//).map { String($0.1) } ?? "-" }
    }
}

@Suite("S3 logins", .timeLimit(.minutes(5)))
struct S3LoginTests {
    private func configuration(_ logins: String..., clock: (@Sendable () -> Int64)? = nil) throws -> FilerConfiguration
    {
        var configuration = FilerConfiguration()
        configuration.s3.logins = try S3Login.list(logins)
        if let clock { configuration.s3.clock = clock }
        return configuration
    }

    private func reason(_ cause: Cause?) -> String? { cause.map { CauseSummary($0).sentence } ?? nil }

    // MARK: Texts

    @Test(arguments: [
        ("/a", "/a", S3Scope.everything), ("/a/b=s3://data", "/a/b", .bucket("data")),
        ("/a=s3://data/", "/a", .bucket("data")),
        ("/a=https://minio.lab", "/a", .endpoint(S3Endpoint("https://minio.lab")!)),
        ("/a=http://minio.lab:9000/", "/a", .endpoint(S3Endpoint("http://minio.lab:9000")!)),
    ])
    func aLoginIsReadFromItsText(_ text: String, _ folder: String, _ scope: S3Scope) throws {
        #expect(try S3Login(text) == S3Login(folder: folder, scope: scope))
    }

    @Test(arguments: [
        "", "a", "=s3://b", "/a=", "/a=b", "/a=minio.lab", "/a=s3://", "/a=s3://b/c", "/a=https://", "/a=https://m/b",
        "/a=ftp://m", "/a=https://m:x", "/a=https://user@m", "/a=https://m?x",
    ])
    func anotherTextIsRefused(_ text: String) {
        #expect { try S3Login(text) } throws: { "\($0)".hasPrefix("\(text) is no login") }
    }

    @Test func twoLoginsForTheSameAreRefused() throws {
        for texts in [["/a", "/b"], ["/a=s3://x", "/b=s3://x/"], ["/a=https://M:443", "/b=https://m/"]] {
            #expect { try S3Login.list(texts) } throws: { "\($0)".contains("/a and /b are both for ") }
        }
        #expect(try S3Login.list(["/a", "/a=s3://x", "/a=https://m", "/a=http://m"]).count == 4)
    }

    @Test(arguments: [
        ("https://S3.Lab:443/", "https://s3.lab"), ("http://s3.lab:80", "http://s3.lab"), ("s3.lab", "https://s3.lab"),
        ("http://s3.lab:443", "http://s3.lab:443"), ("http://[::1]:9000", "http://[::1]:9000"),
        ("HTTPS://[fe80::1]", "https://[fe80::1]"),
    ])
    func anEndpointIsReadAsItIsSigned(_ text: String, _ shown: String) {
        #expect(S3Endpoint(text)?.description == shown)
    }

    @Test func amazonsEndpointsAreTheRegions() {
        #expect(S3Endpoint.amazon("sts", region: "eu-west-1").description == "https://sts.eu-west-1.amazonaws.com")
        #expect(S3Endpoint.amazon("s3", region: "cn-north-1").description == "https://s3.cn-north-1.amazonaws.com.cn")
    }

    // MARK: Whose login

    @Test func theMostSpecificLoginIsTaken() async throws {
        let lab = AnswerServer { target, _ in AnswerServer.response("lab \(target)") }
        let site = AnswerServer { target, _ in AnswerServer.response("site \(target)") }
        defer {
            lab.close()
            site.close()
        }
        try await LoginFolders.with { folders in
            let all = try folders.login("all", "ALL", ["endpoint": site.url("") + "\n"])
            let endpoint = try folders.login("lab", "LAB")
            let bucket = try folders.login(
                "bucket", "BUCKET", ["endpoint": lab.url(""), "region": "r-2", "session_token": "session\n"])
            let given = try configuration(all, endpoint + "=" + lab.url(""), bucket + "=s3://data")
            try await FilerHarness.with(configuration: given) { harness in
                #expect(
                    await harness.stage(
                        harness.file("s3://data/x", "/in/1"), harness.file("s3://other/x", "/in/2"),
                        harness.file(lab.url("/other/a%20b/%C3%BC"), "/in/3"),
                        harness.file(lab.url("/data/y"), "/in/4"),
                        harness.file(site.url("/data/z"), "/in/5"),
                        harness.file(lab.url("/data/w?X-Amz-Signature=1"), "/in/6"))
                        == nil)
                #expect(
                    (1...6).map { harness.staged("/in/\($0)") ?? "" } == [
                        "lab /data/x", "site /other/x", "lab /other/a%20b/%C3%BC", "lab /data/y", "site /data/z",
                        "lab /data/w?X-Amz-Signature=1",
                    ])
                #expect(
                    harness.filer.storage.filter { $0 != "http://" && $0 != "https://" && !$0.hasPrefix("file") } == [
                        lab.url("/"), "s3://", "s3://data/",
                    ])
            }
        }
        func key(_ server: AnswerServer, _ target: String) -> String? {
            zip(server.targets, server.keys).first { $0.0 == target }?.1
        }
        #expect(key(lab, "/data/x") == "BUCKET")
        #expect(key(site, "/other/x") == "ALL")
        #expect(key(lab, "/other/a%20b/%C3%BC") == "LAB")
        #expect(key(lab, "/data/y") == "BUCKET")
        // No login is for that endpoint by its URL, and a signature of the author's own is left alone.
        #expect(key(site, "/data/z") == "-")
        #expect(key(lab, "/data/w?X-Amz-Signature=1") == "-")
        let signed = lab.requests.first { $0.hasPrefix("GET /data/x ") }?.lowercased() ?? ""
        #expect(signed.contains("/r-2/s3/aws4_request") && signed.contains("x-amz-security-token: session\r\n"))
    }

    /// A bucket's name becomes part of a host's: none may name another one, or hold a login that is then shown.
    @Test(arguments: [
        "evil%2Ecom#", "evil。com#", "2130706433?", "[::1]#", "user@data", "KEY:SECRET@data", "..", "a..b", "-a", "a:80",
        "%64ata",
    ])
    func aBucketIsNoHost(_ name: String) async throws {
        try await LoginFolders.with { folders in
            for style in [nil, false, true] as [Bool?] {
                var given = try configuration(try folders.login("all-\(style.map { "\($0)" } ?? "none")", "ALL"))
                given.s3.usesPathStyle = style
                try await FilerHarness.with(configuration: given) { harness in
                    let cause = await harness.stage(harness.file("s3://\(name)/k", "/in/1"))
                    let sentence = try #require(reason(cause))
                    #expect(sentence.contains("the URL's bucket cannot be one"), "\(sentence)")
                    #expect(!sentence.contains("SECRET"))
                }
            }
        }
    }

    @Test func theOnlyEndpointServesEveryBucket() async throws {
        let server = AnswerServer { target, _ in AnswerServer.response(target) }
        defer { server.close() }
        try await LoginFolders.with { folders in
            let folder = try folders.login("lab", "LAB")
            try await FilerHarness.with(configuration: configuration(folder + "=" + server.url(""))) { harness in
                #expect(await harness.stage(harness.file("s3://any/x", "/in/1")) == nil)
                #expect(harness.staged("/in/1") == "/any/x")
            }
        }
        #expect(server.keys == ["LAB"])
    }

    /// Who wrote down two logins means both.
    @Test func theOnlyEndpointDoesNotServeBucketsThatAnotherLoginIsFor() async throws {
        let lab = AnswerServer { _, _ in AnswerServer.response() }
        let site = AnswerServer { _, _ in AnswerServer.response() }
        defer {
            lab.close()
            site.close()
        }
        try await LoginFolders.with { folders in
            var given = try configuration(try folders.login("lab", "LAB") + "=" + lab.url(""))
            given.s3.endpoint = S3Endpoint(site.url(""))
            given.s3.credentials = AWSCredentials(accessKey: "OWN", secretKey: "s", sessionToken: nil)
            try await FilerHarness.with(configuration: given) { harness in
                let inputs = [harness.file("s3://b/k", "/in/1"), harness.file(lab.url("/b/k"), "/in/2")]
                #expect(await harness.filer.stage(inputs, into: harness.root) == nil)
            }
        }
        #expect(site.keys == ["OWN"] && lab.keys == ["LAB"])
    }

    @Test func aBucketsLoginThatCannotBeReadBreaksNoOtherEndpoint() async throws {
        let lab = AnswerServer { _, _ in AnswerServer.response("whole") }
        defer { lab.close() }
        try await LoginFolders.with { folders in
            let endpoint = try folders.login("lab", "LAB")
            let bucket = try folders.write("bucket", ["endpoint": "https://elsewhere.example", "access_key": "BUCKET"])
            let given = try configuration(endpoint + "=" + lab.url(""), bucket + "=s3://data")
            try await FilerHarness.with(configuration: given) { harness in
                #expect(await harness.stage(harness.file(lab.url("/data/x"), "/in/1")) == nil)
                let said = reason(await harness.stage(harness.file("s3://data/x", "/in/2"))) ?? ""
                #expect(said.contains("has no secret_key"), "\(said)")
                // Of the same endpoint it is the one to be mended.
                try folders.write("bucket", ["endpoint": lab.url("")])
                let same = reason(await harness.stage(harness.file(lab.url("/data/x"), "/in/3"))) ?? ""
                #expect(same.contains("has no secret_key"), "\(same)")
            }
        }
        #expect(lab.keys == ["LAB"])
    }

    @Test func aLoginThatIsAwayIsTriedAgainOrTheLastOneKept() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response() }
        defer { server.close() }
        let time = Mutex<Int64>(0)
        try await LoginFolders.with { folders in
            let folder = try folders.login("a", "OLD", ["endpoint": server.url("")])
            let clock: @Sendable () -> Int64 = { time.withLock { $0 } }
            try await FilerHarness.with(configuration: configuration(folder, clock: clock)) { harness in
                #expect(await harness.stage(harness.file("s3://b/1", "/in/1")) == nil)
                try FileManager.default.removeItem(atPath: folder + "/secret_key")
                time.withLock { $0 = 301_000_000 }
                #expect(await harness.stage(harness.file("s3://b/2", "/in/2")) == nil)
                try folders.login("a", "NEW")
                time.withLock { $0 += 29_000_000 }
                #expect(await harness.stage(harness.file("s3://b/3", "/in/3")) == nil)
                time.withLock { $0 += 2_000_000 }
                #expect(await harness.stage(harness.file("s3://b/4", "/in/4")) == nil)
            }
            #expect(server.keys == ["OLD", "OLD", "OLD", "NEW"])
            // Before it was ever read there is none to keep.
            try FileManager.default.removeItem(atPath: folder + "/secret_key")
            try await FilerHarness.with(retries: 100_000, configuration: configuration(folder)) { harness in
                let back = Task {
                    try await Task.sleep(for: .milliseconds(500))
                    try folders.login("a", "BACK")
                }
                #expect(await harness.stage(harness.file("s3://b/5", "/in/5")) == nil)
                try await back.value
            }
            #expect(server.keys.last == "BACK")
        }
    }

    @Test(arguments: [true, false])
    func aLoginForTheSameEndpointKeepsThePathStyle(_ isSame: Bool) async throws {
        let server = AnswerServer { _, _ in AnswerServer.response() }
        defer { server.close() }
        try await LoginFolders.with { folders in
            var given = try configuration(try folders.login("a", "KEY", ["endpoint": server.url("")]))
            given.s3.endpoint = S3Endpoint(isSame ? server.url("") : "http://127.0.0.1:1")
            given.s3.usesPathStyle = false
            try await FilerHarness.with(configuration: given) { harness in
                let end = await harness.stage(harness.file("s3://b/k", "/in/1"))
                // The bucket is part of a host's name that an address cannot have.
                #expect((end == nil) == !isSame, "\(String(describing: end))")
            }
        }
        #expect(server.targets.contains("/b/k") == !isSame)
    }

    @Test func aBucketWithoutALoginIsAskedForWithoutOne() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response("<Code>AccessDenied</Code>", status: 403) }
        defer { server.close() }
        try await LoginFolders.with { folders in
            var given = try configuration(try folders.login("data", "DATA") + "=s3://data")
            given.s3.endpoint = S3Endpoint(server.url(""))
            try await FilerHarness.with(configuration: given) { harness in
                let said = reason(await harness.stage(harness.file("s3://any/x", "/in/1"))) ?? ""
                #expect(said.contains("no S3 credentials for it: add FOLDER=s3://any to the S3 logins"), "\(said)")
            }
        }
        #expect(server.keys == ["-"])
    }

    @Test func outputsGoToTheEndpointThatTheirURLNames() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response() }
        defer { server.close() }
        try await LoginFolders.with { folders in
            let folder = try folders.login("lab", "LAB")
            try await FilerHarness.with(configuration: configuration(folder + "=" + server.url(""))) { harness in
                try harness.write(harness.workspace + "/out/a b%20c?+", "x")
                try harness.makeFolder(harness.workspace + "/out/empty")
                let report = await harness.upload(harness.output("/out", server.url("/bucket/re%20sults/"), .directory))
                #expect(report.failure == nil)
                #expect(report.records.map(\.log.url) == [server.url("/bucket/re%20sults/a%20b%2520c%3F+")])
            }
        }
        #expect(server.targets.sorted() == ["/bucket/re%20sults/a%20b%2520c%3F%2B", "/bucket/re%20sults/empty/"])
        #expect(server.keys == ["LAB", "LAB"])
    }

    @Test func aURLOfAnEndpointNeedsBucketAndKey() async throws {
        try await LoginFolders.with { folders in
            let folder = try folders.login("lab", "LAB")
            try await FilerHarness.with(configuration: configuration(folder + "=http://lab.invalid")) { harness in
                for (url, word) in [("http://lab.invalid/", "no bucket"), ("http://lab.invalid/b", "no object")] {
                    let said = reason(await harness.stage(harness.file(url, "/in/1"))) ?? ""
                    #expect(said.contains("the URL names \(word): write http://lab.invalid/bucket/key"), "\(said)")
                }
            }
        }
    }

    // MARK: The folder

    @Test(arguments: [
        ("access_key", nil, "has no access_key: write the file"),
        ("secret_key", "\n", "has no secret_key: write the file"),
        ("secret_key", "SECRET-OF-A\nSECRET-B", "/secret_key must hold one line of text"),
        ("path_style", "yes", "/path_style must hold true or false"),
        ("endpoint", "https://minio/b", "/endpoint must hold https://HOST"),
    ])
    func whatIsWrongInAFolderIsNamed(_ entry: String, _ text: String?, _ said: String) async throws {
        try await LoginFolders.with { folders in
            let folder = try folders.login("broken", "KEY")
            if let text {
                try folders.write("broken", [entry: text])
            } else {
                try FileManager.default.removeItem(atPath: folder + "/" + entry)
            }
            let given = try configuration(folder)
            #expect { try given.s3.check() } throws: { "\($0)".contains(said) && "\($0)".contains(folder) }
            try await FilerHarness.with(configuration: given) { harness in
                let cause = reason(await harness.stage(harness.file("s3://b/x", "/in/1"))) ?? ""
                #expect(cause.contains(said) && cause.contains(folder) && !cause.contains("SECRET-"), "\(cause)")
            }
        }
    }

    @Test(arguments: [false, true])
    func whatIsRefusedIsTriedAgainWithTheLoginOfByThen(_ isKubernetes: Bool) async throws {
        try await LoginFolders.with { folders in
            let folder = isKubernetes ? try folders.kubernetesLogin("a", "OLD") : try folders.login("a", "OLD")
            let server = AnswerServer { target, time in
                if target != "/b/k" { return AnswerServer.response() }
                if time > 1 { return AnswerServer.response("whole") }
                if isKubernetes {
                    _ = try? folders.kubernetesLogin("a", "NEW")
                } else {
                    _ = try? folders.login("a", "NEW")
                }
                return AnswerServer.response("<Code>InvalidAccessKeyId</Code>", status: 403)
            }
            defer { server.close() }
            try folders.write("a", ["endpoint": server.url("")])
            if isKubernetes {
                // All entries are links into the same folder.
                try folders.write("a/..data", ["endpoint": server.url("")])
            }
            var given = try configuration(folder)
            given.s3.endpoint = S3Endpoint(server.url(""))
            given.parallelTransfers = 1
            try await FilerHarness.with(configuration: given) { harness in
                #expect(await harness.stage(harness.file("s3://b/k", "/in/1")) == nil)
                #expect(harness.staged("/in/1") == "whole")
                try harness.write(harness.workspace + "/o", "x")
                #expect(await harness.upload(harness.output("/o", "s3://b/o")).failure == nil)
            }
            #expect(server.keys == ["OLD", "NEW", "NEW"])
        }
    }

    @Test func whatIsRefusedWithTheSameLoginIsAskedOnce() async throws {
        let server = AnswerServer { _, _ in AnswerServer.response("<Code>AccessDenied</Code>", status: 403) }
        defer { server.close() }
        try await LoginFolders.with { folders in
            let folder = try folders.login("a", "KEY", ["endpoint": server.url("")])
            try await FilerHarness.with(retries: 3, configuration: configuration(folder)) { harness in
                let said = reason(await harness.stage(harness.file("s3://b/k", "/in/1"))) ?? ""
                #expect(said.contains("check the S3 credentials in \(folder)") && !said.contains("SECRET-"), "\(said)")
            }
        }
        #expect(server.keys == ["KEY"])
    }

    @Test func aFolderIsReadAnewAfterFiveMinutes() async throws {
        let server = AnswerServer { target, _ in AnswerServer.response() }
        defer { server.close() }
        let time = Mutex<Int64>(0)
        try await LoginFolders.with { folders in
            let folder = try folders.login("a", "OLD", ["endpoint": server.url("")])
            let clock: @Sendable () -> Int64 = { time.withLock { $0 } }
            try await FilerHarness.with(configuration: configuration(folder, clock: clock)) { harness in
                _ = await harness.stage(harness.file("s3://b/1", "/in/1"))
                try folders.login("a", "NEW")
                time.withLock { $0 = 299_000_000 }
                _ = await harness.stage(harness.file("s3://b/2", "/in/2"))
                time.withLock { $0 = 301_000_000 }
                _ = await harness.stage(harness.file("s3://b/3", "/in/3"))
            }
        }
        #expect(server.keys == ["OLD", "OLD", "NEW"])
    }
}
