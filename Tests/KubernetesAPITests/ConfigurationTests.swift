import Foundation
import KubernetesAPI
import Testing

@Suite("Configuration") struct ConfigurationTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/poiesis-kube-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func write(_ text: String, _ path: String) throws {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch { return "\(error)" }
    }

    // MARK: In a cluster

    @Test(arguments: [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")])
    func aPodsConfiguration(_ host: String, _ url: String) async throws {
        try await withFolder { folder in
            for (name, text) in [("token", "t"), ("ca.crt", "PEM"), ("namespace", "poiesis\n")] {
                try write(text, folder + "/" + name)
            }
            let environment = ["KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"]
            let configuration = try ClusterConfiguration.inCluster(environment: environment, folder: folder)
            #expect(configuration.server == url && configuration.namespace == "poiesis")
            #expect(configuration.login.token == .file(folder + "/token"))
            #expect(configuration.authorities == .file(folder + "/ca.crt"))
        }
    }

    @Test func whatAPodLacksIsNamed() async throws {
        try await withFolder { folder in
            let host = ["KUBERNETES_SERVICE_HOST": "h"]
            #expect(
                message { _ = try ClusterConfiguration.inCluster(environment: host, folder: folder) }
                    .contains("KUBERNETES_SERVICE_PORT is not set"))
            let both = host.merging(["KUBERNETES_SERVICE_PORT": "1"]) { $1 }
            #expect(
                message { _ = try ClusterConfiguration.inCluster(environment: both, folder: folder) }
                    .contains(folder + "/token"))
        }
    }

    // MARK: kubeconfig

    private static let whole = """
        apiVersion: v1
        kind: Config
        current-context: one
        contexts:
        - name: one
          context: {cluster: c1, user: u1, namespace: tasks}
        - name: two
          context: {cluster: c2, user: u2}
        - name: three
          context: {cluster: c3}
        clusters:
        - name: c1
          cluster:
            server: https://10.0.0.1:6443/
            certificate-authority: pki/ca.pem
            tls-server-name: kubernetes
            proxy-url: http://proxy:3128
        - name: c2
          cluster: {server: "https://[::1]:6443/prefix", certificate-authority-data: UEVN}
        - name: c3
          cluster: {server: "http://localhost:8001", insecure-skip-tls-verify: true}
        users:
        - name: u1
          user: {tokenFile: token, token: old}
        - name: u2
          user: {client-certificate-data: Q0VSVA==, client-key: pki/key.pem}

        """

    @Test func contextsAreUnderstood() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/pki", withIntermediateDirectories: true)
            for name in ["pki/ca.pem", "pki/key.pem", "token"] { try write("x", folder + "/" + name) }
            try write(Self.whole, folder + "/config")
            func configuration(_ context: String?) throws -> ClusterConfiguration {
                try .find(environment: ["KUBECONFIG": folder + "/config"], context: context)
            }
            let one = try configuration(nil)
            #expect(one.server == "https://10.0.0.1:6443/" && one.namespace == "tasks")
            #expect(one.authorities == .file(folder + "/pki/ca.pem") && one.serverName == "kubernetes")
            #expect(one.proxy == "http://proxy:3128" && one.login.token == .file(folder + "/token"))
            let two = try configuration("two")
            #expect(two.server == "https://[::1]:6443/prefix" && two.namespace == "default")
            #expect(two.authorities == .bytes(Array("PEM".utf8)))
            #expect(two.login.certificate == .bytes(Array("CERT".utf8)))
            #expect(two.login.key == .file(folder + "/pki/key.pem"))
            let three = try configuration("three")
            #expect(three.isUnverified && three.login == ClusterConfiguration.Login() && three.authorities == nil)
        }
    }

    @Test func ofSeveralFilesTheFirstWins() async throws {
        try await withFolder { folder in
            try write(
                "current-context: two\nusers:\n- {name: u2, user: {token: first}}\n", folder + "/a")
            try write(Self.whole, folder + "/b")
            let paths = "\(folder)/missing:\(folder)/a:\(folder)/b"
            let configuration = try ClusterConfiguration.find(environment: ["KUBECONFIG": paths])
            #expect(configuration.server == "https://[::1]:6443/prefix")
            #expect(configuration.login.token == .bytes(Array("first".utf8)))
        }
    }

    @Test func thePlacesAreLookedAtInOrder() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/.kube", withIntermediateDirectories: true)
            try write(
                "current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
                    + "clusters: [{name: a, cluster: {server: 'https://h'}}]\n", folder + "/.kube/config")
            let home = ["HOME": folder]
            #expect(try ClusterConfiguration.find(environment: home).server == "https://h")
            let pod = home.merging(["KUBERNETES_SERVICE_HOST": "h"]) { $1 }
            #expect(message { _ = try ClusterConfiguration.find(environment: pod) }.contains("SERVICE_PORT"))
            #expect(message { _ = try ClusterConfiguration.find(environment: [:]) }.contains("no cluster"))
            let missing = ["KUBECONFIG": folder + "/none"]
            #expect(message { _ = try ClusterConfiguration.find(environment: missing) }.contains(folder + "/none"))
        }
    }

    @Test(arguments: [
        ("server: https://10.0.0.1:6443/", "server: 10.0.0.1", ":14:13: cluster c1: server: must be a URL"),
        (
            "server: https://10.0.0.1:6443/", "server: https://me:secret@10.0.0.1",
            "must be a URL such as https://10.0.0.1:6443, not one with a login"
        ),
        (
            "server: https://10.0.0.1:6443/", "server: http://10.0.0.1:6443/",
            ":14:13: cluster c1: server: is http: everybody on the way could read the token of context one. Use https"
        ),
        ("server: https://10.0.0.1:6443/", "other: 1", ":14:5: cluster c1: server is missing"),
        ("current-context: one", "", "current-context is missing"),
        ("current-context: one", "current-context: nine", "current-context names context nine, but contexts has none"),
        ("cluster: c1, user: u1", "cluster: c9, user: u1", "context one names cluster c9, but clusters has none"),
        ("cluster: c1, user: u1", "cluster: c1, user: u9", "context one names user u9, but users has none"),
        ("tokenFile: token, token: old", "client-key-data: eA==", "user u1: lacks client-certificate"),
        ("tokenFile: token, token: old", "client-certificate-data: '*'", "client-certificate-data: must be base64"),
        ("tokenFile: token, token: old", "username: a", ":24:20: user u1: username: is not supported"),
        ("tokenFile: token, token: old", "auth-provider: {}", "auth-provider: is not supported"),
        ("tokenFile: token, token: old", "token: [1]", "user u1: token: must be text, not a sequence"),
        ("tokenFile: token, token: old", "exec: {command: c}", "user u1: exec: apiVersion is missing"),
        (
            "tokenFile: token, token: old", "exec: {apiVersion: v3}",
            "apiVersion: must be client.authentication.k8s.io/v1"
        ),
        ("pki/ca.pem", "pki/none.pem", "cluster c1: certificate-authority: cannot find"),
        ("tls-server-name: kubernetes", "insecure-skip-tls-verify: true", "stands beside a certificate-authority"),
        (
            "tls-server-name: kubernetes", "insecure-skip-tls-verify: 1",
            "insecure-skip-tls-verify: must be true or false"
        ),
        ("kind: Config", "kind: [", "error"),
    ])
    func whatIsWrongIsNamedWithItsPlace(_ old: String, _ new: String, _ wanted: String) async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder + "/pki", withIntermediateDirectories: true)
            try write("x", folder + "/pki/ca.pem")
            try write(Self.whole.replacingOccurrences(of: old, with: new), folder + "/config")
            let text = message { _ = try ClusterConfiguration.find(environment: ["KUBECONFIG": folder + "/config"]) }
            #expect(text.hasPrefix(folder + "/config"))
            if wanted != "error" { #expect(text.contains(wanted)) }
        }
    }
}
