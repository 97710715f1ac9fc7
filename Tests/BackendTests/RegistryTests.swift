import ContainerBackend
import Foundation
import LocalSystem
import TaskCore
import Testing

@Suite("Registries")
struct RegistryTests {
    private func with(_ text: String, _ body: (_ file: String) throws -> Void) throws {
        let file = "/tmp/logins-\(UUID().uuidString.lowercased()).json"
        try Data(text.utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        try body(file)
    }

    private func decoded(_ header: String?) throws -> [String: String] {
        let text = try #require(header).replacing("-", with: "+").replacing("_", with: "/")
        return try JSONDecoder().decode([String: String].self, from: try #require(Data(base64Encoded: text)))
    }

    private func auth(_ name: String) -> String { Data("\(name):pass:\u{FF}".utf8).base64EncodedString() }

    @Test(
        arguments: [
            ("busybox", "hub"), ("docker.io/library/busybox:1", "hub"), ("user/image", "hub"),
            ("127.0.0.1:5000/x/y:1", "local"), ("quay.io/other/image@sha256:00", "quay"),
            ("quay.io/team/deep/image:1", "team"), ("ghcr.io/x", nil),
        ] as [(String, String?)])
    func theLoginIsTheRegistrys(_ image: String, _ user: String?) throws {
        let file = """
            {"auths": {"https://index.docker.io/v1/": {"auth": "\(auth("hub"))"}, "127.0.0.1:5000": {"auth": "\(auth("local"))"},
             "https://quay.io": {"auth": "\(auth("quay"))"}, "quay.io/team": {"auth": "\(auth("team"))"}, "ghcr.io": {}}}
            """
        try with(file) { file in
            let login = RegistryLogins(file: file, environment: [:]).login(image: image)
            guard let user else {
                #expect(login.header == nil && login.note.contains("ghcr.io") && login.note.contains(file))
                return
            }
            let header = try decoded(login.header)
            #expect(header["username"] == user && header["password"] == "pass:\u{FF}" && login.note.contains(file))
            #expect((header["serveraddress"] == "https://index.docker.io/v1/") == (user == "hub"))
        }
    }

    @Test func identityTokensAreSent() throws {
        try with(#"{"auths": {"r.example": {"auth": "", "identitytoken": "t"}}}"#) { file in
            let login = RegistryLogins(file: file, environment: [:]).login(image: "r.example/x")
            let header = try decoded(login.header)
            #expect(header == ["identitytoken": "t", "serveraddress": "r.example"])
        }
    }

    @Test func credentialHelpersAndBrokenFilesAreNamed() throws {
        try with(#"{"auths": {"r.example": {}}, "credsStore": "desktop"}"#) { file in
            let login = RegistryLogins(file: file, environment: [:]).login(image: "r.example/x")
            #expect(login.header == nil && login.note.contains("credential helper desktop"))
        }
        try with("no JSON") { file in
            let note = RegistryLogins(file: file, environment: [:]).login(image: "r.example/x").note
            #expect(note.contains("\(file) is no file of logins"))
        }
    }

    @Test func theUsualFilesAreFound() {
        #expect(
            RegistryLogins(
                file: nil, environment: ["HOME": "/h", "XDG_RUNTIME_DIR": "/r", "REGISTRY_AUTH_FILE": "/a"]
            ).files == ["/a", "/h/.docker/config.json", "/r/containers/auth.json"])
        #expect(
            RegistryLogins(file: nil, environment: ["HOME": "/h", "DOCKER_CONFIG": "/d"]).files == ["/d/config.json"])
        #expect(RegistryLogins(file: "/x", environment: ["HOME": "/h"]).files == ["/x"])
    }

    @Test(arguments: [
        ("toomanyrequests: You have reached your pull rate limit", true),
        ("received unexpected HTTP status: 503 Service Unavailable", true),
        ("net/http: TLS handshake timeout", true), ("read tcp: connection reset by peer", true),
        ("manifest unknown", false), ("pull access denied for x", false),
        ("dial tcp 127.0.0.1:42900: connect: connection refused", false),
    ])
    func failuresThatMayPassAreKnown(_ reason: String, _ isTransient: Bool) {
        #expect(DockerEngine.isTransient(reason) == isTransient)
    }
}
