import Foundation
import LocalSystem
import YAML

extension ClusterConfiguration {
    /// The current context, or another one, of kubeconfig files. Of what several files have, the first one's holds; files that are
    /// missing are passed over while one is there.
    ///
    /// https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
    ///
    /// - Parameters:
    ///   - environment: where a credential plugin's variables are added to.
    /// - Throws: ``ClusterConfigurationError`` with file, line and column.
    package static func kubeconfig(
        _ paths: [String], context: String? = nil, environment: [String: String]
    ) throws(ClusterConfigurationError) -> ClusterConfiguration {
        var files: [KubeconfigFile] = []
        for path in paths {
            if let file = try KubeconfigFile(path) { files.append(file) }
        }
        guard !files.isEmpty else {
            throw ClusterConfigurationError("no kubeconfig: \(paths.joined(separator: ", ")) is missing")
        }
        let names = files.compactMap { $0.root["current-context"]?.text }
        guard let name = context ?? names.first(where: { !$0.isEmpty }) else {
            throw ClusterConfigurationError("\(files[0].path): current-context is missing: name a context there")
        }
        let chosen = try KubeconfigEntry(named: name, in: "contexts", "context", of: files, wantedBy: "current-context")
        let cluster = try KubeconfigEntry(
            named: try chosen.needed("cluster"), in: "clusters", "cluster", of: files, wantedBy: "context \(name)")
        var configuration = ClusterConfiguration(server: try server(cluster))
        if let namespace = try chosen.text("namespace") { configuration.namespace = namespace }
        configuration.serverName = try cluster.text("tls-server-name")
        configuration.isUnverified = try cluster.flag("insecure-skip-tls-verify") ?? false
        configuration.authorities = try cluster.credential("certificate-authority")
        configuration.proxy = try cluster.text("proxy-url")
        if configuration.isUnverified, configuration.authorities != nil {
            throw cluster.error(
                "insecure-skip-tls-verify", "stands beside a certificate-authority, which would not be looked at")
        }
        if let user = try chosen.text("user") {
            let user = try KubeconfigEntry(named: user, in: "users", "user", of: files, wantedBy: "context \(name)")
            configuration.login = try login(user, configuration, environment)
        }
        if configuration.sendsTokensInTheClear {
            throw cluster.error(
                "server", "is http: everybody on the way could read the token of context \(name). Use https")
        }
        return configuration
    }

    private static func server(_ cluster: KubeconfigEntry) throws(ClusterConfigurationError) -> String {
        let server = try cluster.needed("server")
        let url = /https?:\/\/(\[[0-9A-Fa-f:.]+\]|[^\/:?#@\[\]\s]+)(:\d{1,5})?(\/[^?#\s]*)?/
        guard server.wholeMatch(of: url) != nil else {
            // What stands before an @ is a login, which belongs into no message.
            let given = server.contains("@") ? "one with a login" : server
            throw cluster.error("server", "must be a URL such as https://10.0.0.1:6443, not \(given)")
        }
        return server
    }

    private static func login(
        _ user: KubeconfigEntry, _ configuration: ClusterConfiguration, _ environment: [String: String]
    ) throws(ClusterConfigurationError) -> Login {
        for member in ["username", "password", "auth-provider", "as"] where user.node[member] != nil {
            throw user.error(
                member, "is not supported: use a token, a client certificate or an exec plugin")
        }
        var login = Login()
        // As in kubectl: the file wins over the token beside it.
        if let path = try user.path("tokenFile") {
            login.token = .file(path)
        } else if let token = try user.text("token") {
            login.token = .bytes(Array(token.utf8))
        }
        login.certificate = try user.credential("client-certificate")
        login.key = try user.credential("client-key")
        guard (login.certificate == nil) == (login.key == nil) else {
            let missing = login.key == nil ? "client-key" : "client-certificate"
            throw user.error(nil, "lacks \(missing) or \(missing)-data: certificate and key go together")
        }
        if let node = user.node["exec"], !node.isNull {
            guard login.token == nil, login.certificate == nil else {
                throw user.error("exec", "stands beside a token or a certificate: keep one of them")
            }
            login.plugin = try CredentialPlugin(
                KubeconfigEntry(node: node, name: user.name + ": exec", file: user.file), configuration, environment)
        }
        return login
    }
}

/// One file.
struct KubeconfigFile {
    var path: String
    var root: YAMLNode

    /// Nil where the file is missing.
    init?(_ path: String) throws(ClusterConfigurationError) {
        self.path = path
        let bytes: [UInt8]
        do throws(FileError) { bytes = try readCredential(path) } catch {
            if error.isMissing { return nil }
            throw ClusterConfigurationError("\(error)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ClusterConfigurationError("\(path): is no text in UTF-8")
        }
        do throws(YAMLError) { root = try parseYAML(text, file: path) } catch {
            throw ClusterConfigurationError("\(error.location): \(error.message)")
        }
        guard root.entries != nil else {
            throw ClusterConfigurationError("\(root.location): must be a mapping with clusters, users and contexts")
        }
    }

    /// A path that stands in this file, which is relative to its folder.
    func resolve(_ relative: String) -> String {
        guard !relative.hasPrefix("/") else { return relative }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        return folder + relative
    }
}

/// A cluster, a user, a context or a part of one, with where it stands.
struct KubeconfigEntry {
    var node: YAMLNode
    var name: String
    var file: KubeconfigFile

    init(node: YAMLNode, name: String, file: KubeconfigFile) throws(ClusterConfigurationError) {
        guard node.entries != nil else {
            throw ClusterConfigurationError("\(node.location): \(name): must be a mapping, not \(node.kindName)")
        }
        (self.node, self.name, self.file) = (node, name, file)
    }

    /// The first entry of this name.
    ///
    /// - Parameters:
    ///   - list: `clusters`, `users` or `contexts`.
    ///   - member: what holds the content.
    init(
        named name: String, in list: String, _ member: String, of files: [KubeconfigFile], wantedBy reader: String
    ) throws(ClusterConfigurationError) {
        for file in files {
            guard let node = file.root[list], !node.isNull else { continue }
            guard let items = node.items else {
                throw ClusterConfigurationError("\(node.location): \(list): must be a sequence, not \(node.kindName)")
            }
            if let item = items.first(where: { $0["name"]?.text == name }) {
                guard let content = item[member] else {
                    throw ClusterConfigurationError("\(item.location): \(name): \(member) is missing")
                }
                try self.init(node: content, name: "\(member) \(name)", file: file)
                return
            }
        }
        throw ClusterConfigurationError(
            "\(files[0].path): \(reader) names \(member) \(name), but \(list) has none of that name")
    }

    func error(_ member: String?, _ problem: String) -> ClusterConfigurationError {
        let location = member.flatMap { node[$0]?.location } ?? node.location
        return ClusterConfigurationError("\(location): \(name): \(member.map { $0 + ": " } ?? "")\(problem)")
    }

    /// Nil where the member is missing, null or empty.
    func text(_ member: String) throws(ClusterConfigurationError) -> String? {
        guard let value = node[member], !value.isNull else { return nil }
        guard let text = value.text else { throw error(member, "must be text, not \(value.kindName)") }
        return text.isEmpty ? nil : text
    }

    func needed(_ member: String) throws(ClusterConfigurationError) -> String {
        guard let text = try text(member) else { throw error(nil, "\(member) is missing") }
        return text
    }

    func flag(_ member: String) throws(ClusterConfigurationError) -> Bool? {
        guard let value = node[member], !value.isNull else { return nil }
        guard let flag = value.bool else { throw error(member, "must be true or false") }
        return flag
    }

    /// A path, from the file's folder on.
    func path(_ member: String) throws(ClusterConfigurationError) -> String? { try text(member).map(file.resolve) }

    /// A file, or `MEMBER-data` in base64, which wins.
    func credential(_ member: String) throws(ClusterConfigurationError) -> ClusterConfiguration.Credential? {
        if let text = try text(member + "-data") {
            guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters), !data.isEmpty else {
                throw error(member + "-data", "must be base64")
            }
            return .bytes(Array(data))
        }
        guard let path = try path(member) else { return nil }
        do throws(FileError) { _ = try readCredential(path) } catch let problem { throw error(member, "\(problem)") }
        return .file(path)
    }
}
