import Foundation
import HTTPClient
import LocalSystem
import YAML

/// A program that gives credentials, as a kubeconfig names it.
///
/// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
package struct CredentialPlugin: Hashable, Sendable {
    /// `client.authentication.k8s.io/v1` or `…/v1beta1`.
    package var apiVersion: String
    /// A path, or a name that is looked up in `PATH`.
    package var command: String
    package var arguments: [String]
    /// All of its variables but `KUBERNETES_EXEC_INFO`.
    package var environment: [String: String]
    /// What it is told of the cluster; nil for nothing.
    var cluster: ExecCluster?
    /// How to get the program, for people.
    package var installHint: String?

    /// What a plugin gave.
    struct Outcome: Sendable {
        var token: String?
        var client: (certificate: [UInt8], key: [UInt8])?
        /// Microseconds since 1970; nil for ever.
        var expiration: Int64?
    }

    private static let versions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]

    init(
        _ entry: KubeconfigEntry, _ configuration: ClusterConfiguration, _ environment: [String: String]
    ) throws(ClusterConfigurationError) {
        apiVersion = try entry.needed("apiVersion")
        guard Self.versions.contains(apiVersion) else {
            throw entry.error("apiVersion", "must be \(Self.versions.joined(separator: " or ")), not \(apiVersion)")
        }
        let command = try entry.needed("command")
        self.command = command.contains("/") ? entry.file.resolve(command) : command
        arguments = []
        for item in try Self.items("args", of: entry) {
            guard let text = item.text else { throw entry.error("args", "must be texts") }
            arguments.append(text)
        }
        self.environment = environment
        for item in try Self.items("env", of: entry) {
            guard let name = item["name"]?.text, let value = item["value"]?.text else {
                throw entry.error("env", "must be pairs of name and value")
            }
            self.environment[name] = value
        }
        if try entry.text("interactiveMode") == "Always" {
            throw entry.error("interactiveMode", "Always needs a person at a terminal: use a plugin that asks nobody")
        }
        installHint = try entry.text("installHint")
        if try entry.flag("provideClusterInfo") == true { cluster = try Self.cluster(configuration, entry) }
    }

    private static func items(
        _ member: String, of entry: KubeconfigEntry
    ) throws(ClusterConfigurationError) -> [YAMLNode] {
        guard let node = entry.node[member], !node.isNull else { return [] }
        guard let items = node.items else { throw entry.error(member, "must be a sequence, not \(node.kindName)") }
        return items
    }

    private static func cluster(
        _ configuration: ClusterConfiguration, _ entry: KubeconfigEntry
    ) throws(ClusterConfigurationError) -> ExecCluster {
        var cluster = ExecCluster(server: configuration.server)
        cluster.tlsServerName = configuration.serverName
        cluster.insecureSkipTlsVerify = configuration.isUnverified ? true : nil
        cluster.proxyUrl = configuration.proxy
        switch configuration.authorities {
        case .bytes(let bytes): cluster.certificateAuthorityData = Data(bytes).base64EncodedString()
        case .file(let path):
            do throws(FileError) {
                cluster.certificateAuthorityData = Data(try readCredential(path)).base64EncodedString()
            } catch let problem { throw entry.error("provideClusterInfo", "\(problem)") }
        case nil: break
        }
        return cluster
    }

    /// Runs the program, for a minute at most.
    ///
    /// - Throws: ``KubernetesError/credentials(_:)`` with what it wrote to standard error.
    func run() async throws(KubernetesError) -> Outcome {
        var told = ExecCredential()
        told.apiVersion = apiVersion
        told.kind = "ExecCredential"
        told.spec = ExecCredentialSpec(cluster: cluster, interactive: false)
        var variables = environment
        variables["KUBERNETES_EXEC_INFO"] = String(decoding: JSONWriter.encode(told), as: UTF8.self)
        let run: ProgramRun
        do throws(FileError) {
            run = try await onDisk { [command, arguments, variables] isCancelled throws(FileError) in
                try ProgramRun.run(
                    command, arguments, environment: variables, timeout: .seconds(60), isCancelled: isCancelled)
            }
        } catch {
            if error.code == FileError.cancelled { throw .transport(.cancelled) }
            let hint = error.isMissing ? installHint.map { ". " + $0 } ?? "" : ""
            throw .credentials("the plugin of the kubeconfig: \(error)\(hint)")
        }
        guard run.exitCode == 0 else {
            throw failure("ended with exit code \(run.exitCode): \(trimmed(run.errors))")
        }
        return try outcome(run.output)
    }

    private func failure(_ problem: String) -> KubernetesError {
        .credentials("the plugin \(command) of the kubeconfig \(problem)")
    }

    private func outcome(_ output: [UInt8]) throws(KubernetesError) -> Outcome {
        guard let credential = try? decoded(ExecCredential.self, output), credential.kind == "ExecCredential" else {
            throw failure("printed no ExecCredential")
        }
        guard credential.apiVersion == apiVersion else {
            throw failure("printed \(credential.apiVersion ?? "no apiVersion"), asked for was \(apiVersion)")
        }
        var outcome = Outcome()
        outcome.token = credential.status?.token
        if let certificate = credential.status?.clientCertificateData, let key = credential.status?.clientKeyData {
            outcome.client = (Array(certificate.utf8), Array(key.utf8))
        }
        guard outcome.token?.isEmpty == false || outcome.client != nil else {
            throw failure("printed neither a token nor a certificate with its key")
        }
        if let text = credential.status?.expirationTimestamp {
            guard let time = Timestamp(text) else { throw failure("printed the expirationTimestamp \(text)") }
            outcome.expiration = time.microseconds
        }
        return outcome
    }
}
