import Foundation
import HTTPClient
import KubernetesAPI
import TestServers
import Testing

@Suite("Logging in", .timeLimit(.minutes(5)))
struct LoginTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/poiesis-login-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private static let pod = ScriptedServer.Answer.json(podJSON("a", version: 1))
    private static let unauthorized = ScriptedServer.Answer.json(401, statusJSON(401, "Unauthorized"))

    @Test func aTokenOfAFileIsReadAgainWhereItIsRefused() async throws {
        try await withFolder { folder in
            let path = folder + "/token"
            try "one\n".write(toFile: path, atomically: true, encoding: .utf8)
            try await ScriptedServer.with([Self.pod, Self.pod, Self.unauthorized, Self.pod]) {
                $0.login.token = .file(path)
            } _: { client, server in
                _ = try await client.get(Pod.self, "a")
                try "two".write(toFile: path, atomically: true, encoding: .utf8)
                // Believed for a minute, unless the server does not.
                _ = try await client.get(Pod.self, "a")
                _ = try await client.get(Pod.self, "a")
                #expect(
                    server.requests.map { $0.header("authorization") ?? "" }
                        == ["Bearer one", "Bearer one", "Bearer one", "Bearer two"])
            }
        }
    }

    @Test func aTokenThatStaysRefusedIsToldAfterOneMoreTry() async throws {
        try await withFolder { folder in
            let path = folder + "/token"
            try "one".write(toFile: path, atomically: true, encoding: .utf8)
            try await ScriptedServer.with([Self.unauthorized, Self.unauthorized]) {
                $0.login.token = .file(path)
            } _: { client, server in
                let refusal = await refusal { _ = try await client.get(Pod.self, "a") }
                #expect(refusal?.reason == .unauthorized && server.asked.count == 2)
            }
        }
    }

    @Test(arguments: ["", "a\nInjected: 1", "ä"])
    func aTokenThatIsNoneIsAnError(_ token: String) async throws {
        try await ScriptedServer.with([Self.pod]) {
            $0.login.token = .bytes(Array(token.utf8))
        } _: { client, server in
            await #expect(throws: KubernetesError.self) { _ = try await client.get(Pod.self, "a") }
            #expect(server.asked.isEmpty)
        }
    }

    // MARK: Plugins

    /// A client whose kubeconfig names a shell script as plugin.
    private func withPlugin(
        _ script: String, answers: [ScriptedServer.Answer], version: String = "client.authentication.k8s.io/v1",
        _ body: (KubernetesClient, ScriptedServer, _ folder: String) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            try ("#!/bin/sh\necho run >> \"$RUNS\"\n" + script).write(
                toFile: folder + "/plugin", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder + "/plugin")
            let server = ScriptedServer(answers)
            try """
            current-context: a
            contexts: [{name: a, context: {cluster: a, user: a, namespace: n}}]
            clusters: [{name: a, cluster: {server: "\(server.url)"}}]
            users:
            - name: a
              user:
                exec:
                  apiVersion: \(version)
                  command: ./plugin
                  args: [x, "y z"]
                  env: [{name: RUNS, value: "\(folder)/runs"}]
                  interactiveMode: IfAvailable
                  provideClusterInfo: true
            """.write(toFile: folder + "/config", atomically: true, encoding: .utf8)
            let configuration = try ClusterConfiguration.find(
                environment: ["KUBECONFIG": folder + "/config", "PATH": "/usr/bin:/bin", "OTHER": "o"])
            let http = HTTPClient()
            defer { http.close() }
            try await body(KubernetesClient(configuration, http: http), server, folder)
        }
    }

    private func runs(_ folder: String) -> Int {
        let text = try? String(contentsOfFile: folder + "/runs", encoding: .utf8)
        return text?.split(separator: "\n").count ?? 0
    }

    private static func credential(_ status: String, version: String = "v1") -> String {
        "{\"apiVersion\":\"client.authentication.k8s.io/\(version)\",\"kind\":\"ExecCredential\",\"status\":{\(status)}}"
    }

    @Test(arguments: ["v1", "v1beta1"])
    func aPluginsTokenIsKeptUntilItExpires(_ version: String) async throws {
        let later = Self.credential(
            #""token":"t1","expirationTimestamp":"2999-01-01T00:00:00Z""#, version: version)
        try await withPlugin(
            "printf %s '\(later)'", answers: Array(repeating: Self.pod, count: 5),
            version: "client.authentication.k8s.io/" + version
        ) { client, server, folder in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<5 { group.addTask { _ = try await client.get(Pod.self, "a") } }
                try await group.waitForAll()
            }
            #expect(server.requests.allSatisfy { $0.header("authorization") == "Bearer t1" })
            #expect(runs(folder) == 1)
        }
    }

    @Test func anExpiredTokenIsMadeAnew() async throws {
        let past = Self.credential(#""token":"t1","expirationTimestamp":"2020-01-01T00:00:00Z""#)
        try await withPlugin("printf %s '\(past)'", answers: [Self.pod, Self.pod]) { client, _, folder in
            _ = try await client.get(Pod.self, "a")
            try await Task.sleep(for: .milliseconds(1100))
            _ = try await client.get(Pod.self, "a")
            #expect(runs(folder) == 2)
        }
    }

    /// A leader that waits for a plugin must notice that its Lease runs out.
    @Test func whoeverIsCancelledDoesNotWaitForAPlugin() async throws {
        let token = Self.credential(#""token":"t""#)
        try await withPlugin(
            "while [ ! -e \"$(dirname \"$0\")/go\" ]; do sleep 0.05; done; printf %s '\(token)'", answers: [Self.pod]
        ) { client, server, folder in
            let patient = Task { try await client.get(Pod.self, "a") }
            let impatient = Task { try await client.get(Pod.self, "a") }
            while runs(folder) == 0 { try await Task.sleep(for: .milliseconds(5)) }
            // The plugin ends only when this test lets it: who waits for it here waits for ever.
            impatient.cancel()
            guard case .failure(let error) = await impatient.result else {
                Issue.record("it was not cancelled")
                return
            }
            #expect((error as? KubernetesError)?.isCancelled == true)
            #expect(server.asked.isEmpty)
            try "".write(toFile: folder + "/go", atomically: true, encoding: .utf8)
            _ = try await patient.value
            #expect(runs(folder) == 1)
        }
    }

    @Test func aRefusedTokenIsMadeAnew() async throws {
        let token = Self.credential(#""token":"t'$(wc -l < "$RUNS")'""#)
        try await withPlugin(
            "printf %s '\(token)'", answers: [Self.unauthorized, Self.pod]
        ) { client, server, folder in
            _ = try await client.get(Pod.self, "a")
            #expect(server.requests.map { $0.header("authorization") ?? "" } == ["Bearer t1", "Bearer t2"])
        }
    }

    @Test func aPluginIsToldOfTheClusterAndGetsArgumentsAndVariables() async throws {
        let token = Self.credential(#""token":"t""#)
        try await withPlugin(
            """
            printf '%s' "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/told"
            printf '%s|' "$@" "$OTHER" > "$(dirname "$0")/arguments"
            printf %s '\(token)'
            """, answers: [Self.pod]
        ) { client, server, folder in
            _ = try await client.get(Pod.self, "a")
            let told = try Data(contentsOf: URL(filePath: folder + "/told"))
            let object = try JSONSerialization.jsonObject(with: told) as? NSDictionary
            let wanted: NSDictionary = [
                "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                "spec": ["interactive": false, "cluster": ["server": server.url]],
            ]
            #expect(object == wanted)
            #expect(try String(contentsOfFile: folder + "/arguments", encoding: .utf8) == "x|y z|o|")
        }
    }

    @Test(arguments: [
        ("echo 'no login' >&2; exit 3", "ended with exit code 3: no login"),
        ("echo hello", "printed no ExecCredential"),
        (
            "printf %s '\(credential("\"token\":\"t\"", version: "v1beta1"))'",
            "asked for was client.authentication.k8s.io/v1"
        ),
        ("printf %s '\(credential(""))'", "neither a token nor a certificate"),
        (
            "printf %s '\(credential("\"token\":\"t\",\"expirationTimestamp\":\"soon\""))'",
            "the expirationTimestamp soon"
        ),
    ])
    func aPluginThatFailsIsTold(_ script: String, _ wanted: String) async throws {
        try await withPlugin(script, answers: [Self.pod]) { client, server, _ in
            do {
                _ = try await client.get(Pod.self, "a")
                Issue.record("it did not fail")
            } catch KubernetesError.credentials(let reason) { #expect(reason.contains(wanted)) }
            #expect(server.asked.isEmpty)
        }
    }

    // MARK: Certificates

    @Test func aClientCertificateAndAServerNameOfAKubeconfig() async throws {
        try await withFolder { folder in
            try TLSServer.makeCertificates(in: folder, names: "DNS:kubernetes")
            let server = try TLSServer(folder, needsClient: true)
            defer { server.close() }
            func data(_ name: String) throws -> String {
                try Data(contentsOf: URL(filePath: folder + "/" + name)).base64EncodedString()
            }
            try """
            current-context: a
            contexts: [{name: a, context: {cluster: a, user: a}}]
            clusters:
            - name: a
              cluster: {server: "https://127.0.0.1:\(server.port)", certificate-authority: ca.pem, tls-server-name: kubernetes}
            users: [{name: a, user: {client-certificate-data: \(try data("client.pem")), client-key: client.key}}]
            """.write(toFile: folder + "/config", atomically: true, encoding: .utf8)
            let http = HTTPClient()
            defer { http.close() }
            var configuration = try ClusterConfiguration.find(environment: ["KUBECONFIG": folder + "/config"])
            let page = try await KubernetesClient(configuration, http: http).send(APIRequest("GET", "/"))
            #expect(String(decoding: page.body, as: UTF8.self).contains(/Subject: CN ?= ?poiesis/))
            configuration.serverName = "other"
            await #expect(throws: KubernetesError.self) {
                _ = try await KubernetesClient(configuration, http: http).send(APIRequest("GET", "/"))
            }
        }
    }
}
