import Foundation

/// Logins for registries, from the files that `docker login` and `podman login` write; read anew for each pull.
///
/// https://docs.docker.com/reference/cli/docker/login/ and containers-auth.json(5)
package struct RegistryLogins: Hashable, Sendable {
    /// In the order in which they are asked.
    package var files: [String] = []

    /// - Parameter file: the only file to ask; nil for the usual ones.
    package init(file: String?, environment: [String: String]) {
        if let file {
            files = [file]
            return
        }
        let home = environment["HOME"]
        if let file = environment["REGISTRY_AUTH_FILE"] { files.append(file) }
        if let folder = environment["DOCKER_CONFIG"] ?? home.map({ $0 + "/.docker" }) {
            files.append(folder + "/config.json")
        }
        if let runtime = environment["XDG_RUNTIME_DIR"] { files.append(runtime + "/containers/auth.json") }
    }

    /// What is sent with a pull.
    package struct Login: Hashable, Sendable {
        /// `X-Registry-Auth`: base64url of JSON; nil without a login.
        package var header: String?
        /// For the message where the pull fails: which registry was asked, and whose login it was.
        package var note: String
    }

    private struct File: Decodable {
        struct Entry: Decodable {
            var auth: String?
            var username: String?
            var password: String?
            var identitytoken: String?
        }
        var auths: [String: Entry]?
        var credsStore: String?
        var credHelpers: [String: String]?
    }

    private struct Header: Encodable {
        var username: String?
        var password: String?
        var identitytoken: String?
        var serveraddress: String
    }

    /// The login for an image's registry.
    package func login(image: String) -> Login {
        let (registry, places) = Self.places(image)
        var troubles: [String] = []
        for path in files {
            guard let data = FileManager.default.contents(atPath: path) else {
                if FileManager.default.fileExists(atPath: path) { troubles.append("\(path) cannot be read") }
                continue
            }
            guard let file = try? JSONDecoder().decode(File.self, from: data) else {
                troubles.append("\(path) is no file of logins")
                continue
            }
            let entries = Dictionary(
                (file.auths ?? [:]).map { (Self.plain($0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
            for place in places {
                if let entry = entries[place], let header = Self.header(entry, registry) {
                    return Login(header: header, note: "; the registry \(registry) was asked with the login of \(path)")
                }
            }
            let helpers = Dictionary(
                (file.credHelpers ?? [:]).map { (Self.plain($0.key), $0.value) },
                uniquingKeysWith: { first, _ in first })
            if let helper = places.compactMap({ helpers[$0] }).first ?? file.credsStore {
                troubles.append(
                    "\(path) leaves logins to the credential helper \(helper), which this server does not ask")
            }
        }
        let looked = files.isEmpty ? "" : ", none is in " + files.joined(separator: ", ")
        let detail = troubles.isEmpty ? looked : ": " + troubles.joined(separator: "; ")
        return Login(header: nil, note: "; the registry \(registry) was asked without a login\(detail)")
    }

    /// The registry of an image, and the keys of a file that fit the image, the longest first.
    private static func places(_ image: String) -> (registry: String, places: [String]) {
        let name = image.split(separator: "@").first.map(String.init) ?? image
        var parts = name.split(separator: "/").map(String.init)
        let isHost = parts.count > 1 && (parts[0].contains { ".:".contains($0) } || parts[0] == "localhost")
        let registry = isHost ? parts.removeFirst() : "docker.io"
        if let last = parts.last, let colon = last.firstIndex(of: ":") {
            parts[parts.count - 1] = String(last[..<colon])
        }
        let hosts = registry == "docker.io" ? ["docker.io", "index.docker.io", "registry-1.docker.io"] : [registry]
        let places = (0...parts.count).reversed().flatMap { count in
            hosts.map { ([$0] + parts.prefix(count)).joined(separator: "/") }
        }
        return (registry, places)
    }

    /// `https://index.docker.io/v1/` → `index.docker.io`
    private static func plain(_ key: String) -> String {
        var key = key
        for scheme in ["https://", "http://"] where key.hasPrefix(scheme) { key.removeFirst(scheme.count) }
        while key.hasSuffix("/") { key.removeLast() }
        for version in ["/v1", "/v2"] where key.hasSuffix(version) { key.removeLast(version.count) }
        return key
    }

    private static func header(_ entry: File.Entry, _ registry: String) -> String? {
        let address = registry == "docker.io" ? "https://index.docker.io/v1/" : registry
        var header = Header(serveraddress: address)
        header.username = entry.username
        header.password = entry.password
        header.identitytoken = entry.identitytoken.flatMap { $0.isEmpty ? nil : $0 }
        if let auth = entry.auth, let data = Data(base64Encoded: auth) {
            let text = String(decoding: data, as: UTF8.self)
            if let colon = text.firstIndex(of: ":") {
                header.username = String(text[..<colon])
                header.password = String(text[text.index(after: colon)...])
            }
        }
        guard header.username != nil || header.identitytoken != nil, let json = try? JSONEncoder().encode(header) else {
            return nil
        }
        return json.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }
}
