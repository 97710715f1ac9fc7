import LocalSystem
import YAML

/// Where an API server is, whom to trust there and how to log in.
package struct ClusterConfiguration: Hashable, Sendable {
    /// `https://HOST[:PORT][/PREFIX]`, without a slash at the end.
    package var server: String
    /// The name that the server's certificate has, where it is not the host's.
    package var serverName: String?
    /// The authorities of the server's certificate; nil are the system's.
    package var authorities: Credential?
    /// Takes any certificate.
    package var isUnverified = false
    /// The URL of a proxy; nil takes what the environment names.
    package var proxy: String?
    /// What the server knows the client by.
    package var login = Login()
    /// Where objects are that no namespace is named for.
    package var namespace = "default"

    package init(server: String) { self.server = server }

    /// A part of the configuration that may change while the program runs.
    package enum Credential: Hashable, Sendable {
        case bytes([UInt8])
        /// A path; the file is read again every minute.
        case file(String)
    }

    /// How to log in; several may be there, a certificate and a token, say.
    package struct Login: Hashable, Sendable {
        /// Sent with each request, without spaces and line ends around it.
        package var token: Credential?
        /// PEM.
        package var certificate: Credential?
        /// PEM.
        package var key: Credential?
        /// A program that gives a token or a certificate.
        package var plugin: CredentialPlugin?

        package init() {}
    }

    /// Whether a token would leave this machine unencrypted.
    var sendsTokensInTheClear: Bool {
        guard login.token != nil || login.plugin != nil, server.hasPrefix("http://") else { return false }
        let host = server.dropFirst("http://".count).prefix { $0 != "/" }
        return host.wholeMatch(of: /(localhost|127(\.\d+){3}|\[::1\])(:\d+)?/) == nil
    }

    /// The configuration that the surroundings name: `KUBECONFIG`, else that of the Pod that this process runs in, else
    /// `~/.kube/config`.
    ///
    /// - Throws: ``ClusterConfigurationError``
    package static func find(
        environment: [String: String], context: String? = nil
    ) throws(ClusterConfigurationError) -> ClusterConfiguration {
        let paths = environment["KUBECONFIG"]?.split(separator: ":").map(String.init) ?? []
        if !paths.isEmpty { return try kubeconfig(paths, context: context, environment: environment) }
        if environment["KUBERNETES_SERVICE_HOST"] != nil, context == nil {
            return try inCluster(environment: environment)
        }
        guard let home = environment["HOME"], !home.isEmpty else {
            throw ClusterConfigurationError("no cluster: neither KUBECONFIG, KUBERNETES_SERVICE_HOST nor HOME is set")
        }
        return try kubeconfig([home + "/.kube/config"], context: context, environment: environment)
    }

    /// Where Kubernetes puts what a Pod logs in with.
    package static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// The configuration of a Pod.
    ///
    /// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
    ///
    /// - Parameter folder: holds `token`, `ca.crt` and, mostly, `namespace`.
    package static func inCluster(
        environment: [String: String], folder: String = serviceAccountFolder
    ) throws(ClusterConfigurationError) -> ClusterConfiguration {
        func variable(_ name: String) throws(ClusterConfigurationError) -> String {
            guard let value = environment[name], !value.isEmpty else {
                throw ClusterConfigurationError("this is no Pod of a cluster: \(name) is not set")
            }
            return value
        }
        let host = try variable("KUBERNETES_SERVICE_HOST")
        let port = try variable("KUBERNETES_SERVICE_PORT")
        var configuration = ClusterConfiguration(
            server: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)")
        configuration.login.token = .file(folder + "/token")
        configuration.authorities = .file(folder + "/ca.crt")
        // Read once, so that a Pod without a token is told at the start.
        for name in ["token", "ca.crt"] {
            do throws(FileError) {
                _ = try readCredential(folder + "/" + name)
            } catch {
                throw ClusterConfigurationError(
                    "\(error); is automountServiceAccountToken false? The Pod needs a projected token and the cluster's CA there"
                )
            }
        }
        if let bytes = try? readCredential(folder + "/namespace"), !bytes.isEmpty {
            configuration.namespace = trimmed(bytes)
        }
        return configuration
    }
}

/// A configuration that cannot be used: file, place and member, and what is wrong with it.
package struct ClusterConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `FILE:LINE:COLUMN: NAME: MEMBER: PROBLEM`, as far as there is each.
    package var message: String

    package var description: String { message }

    init(_ message: String) { self.message = message }
}

/// Reads a small file: a token, a certificate, a kubeconfig.
func readCredential(_ path: String) throws(FileError) -> [UInt8] {
    let file = try LocalFile.reading(path)
    var bytes: [UInt8] = []
    while bytes.count < 4 << 20 {
        let piece = try file.read(1 << 16, at: Int64(bytes.count))
        if piece.isEmpty { break }
        bytes += piece
    }
    return bytes
}

/// Text without spaces and line ends around it.
func trimmed(_ bytes: [UInt8]) -> String {
    let isSpace: (UInt8) -> Bool = { [9, 10, 13, 32].contains($0) }
    return String(decoding: bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed(), as: UTF8.self)
}

/// What requests are sent to.
struct ServerAddress {
    /// Before each path.
    var url: String
    /// Host and port to connect to, where the URL has the name of the certificate.
    var connectTo: String?

    init(_ configuration: ClusterConfiguration) {
        let server = String(configuration.server.reversed().drop { $0 == "/" }.reversed())
        url = server
        guard let name = configuration.serverName, server.hasPrefix("https://") else { return }
        let rest = server.dropFirst("https://".count)
        let authority = rest.prefix { $0 != "/" }
        // A colon after the brackets of an IPv6 address, if any, begins the port.
        let host = authority.first == "[" ? authority.prefix { $0 != "]" } + "]" : authority.prefix { $0 != ":" }
        let port = authority.dropFirst(host.count + 1)
        url = "https://\(name):\(port.isEmpty ? "443" : port)\(rest.dropFirst(authority.count))"
        connectTo = "\(host):\(port.isEmpty ? "443" : port)"
    }
}
