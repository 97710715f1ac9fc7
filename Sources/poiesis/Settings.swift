import Foundation
import YAML

/// What a person got wrong, in one sentence that names the thing and the remedy.
struct StartError: Error, CustomStringConvertible {
    var description: String
    /// What was typed is wrong, not the machine.
    var isUsage = false

    init(_ description: String) { self.description = description }

    init(usage description: String) {
        self.description = description
        isUsage = true
    }
}

/// Settings from three places: a flag wins over the environment, which wins over the configuration file.
///
/// Each key `a.b` is a mapping in the file and `POIESIS_A_B` in the environment. docs/reference/configuration.md lists them.
struct Settings {
    /// Every key with what it means; `[]` at its end takes a list.
    static let keys: [(name: String, meaning: String)] = [
        ("listen", "address and port to listen on, 127.0.0.1:8000"),
        ("data", "the data folder"),
        ("database", "URL of a PostgreSQL database; without one the server runs a private one"),
        ("engine", "the container engine's socket, unix:///var/run/docker.sock"),
        ("registry.config", "file of logins for registries, as docker login writes it"),
        ("allow_files[]", "folders that file URLs may reach, DIR:ro or DIR:rw"),
        ("auth", "none: listen beyond this machine without authentication"),
        ("log.level", "trace, debug, info, notice, warning, error or critical"),
        ("log.format", "text or json"),
        ("server.hosts[]", "host names that the server is known by, besides localhost and addresses"),
        ("server.cors[]", "any, or origins such as https://portal.example, whose pages may use the server"),
        ("server.body_limit", "most bytes of a request's body"),
        ("resources.cpu_cores", "CPU cores to fill with tasks"),
        ("resources.memory", "bytes of memory to fill with tasks"),
        ("resources.memory_floor", "least memory limit of a container, in bytes"),
        ("outputs.missing", "warn or fail: what a missing declared output does to a task that succeeded"),
        ("content_limit", "most bytes of an input's content"),
        ("vm_price_per_hour_usd", "what an hour of this machine costs, for clients that reckon"),
        ("s3.endpoint", "URL of the S3 service; also AWS_ENDPOINT_URL_S3"),
        ("s3.region", "also AWS_REGION"),
        ("s3.access_key", "also AWS_ACCESS_KEY_ID"),
        ("s3.secret_key", "also AWS_SECRET_ACCESS_KEY"),
        ("s3.session_token", "also AWS_SESSION_TOKEN"),
        ("s3.path_style", "true or false: bucket in the path"),
        ("service.id", "of service-info: reverse domain name"),
        ("service.name", "of service-info"),
        ("service.description", "of service-info"),
        ("service.organization.name", "of service-info"),
        ("service.organization.url", "of service-info"),
        ("service.contact_url", "of service-info"),
        ("service.documentation_url", "of service-info"),
        ("service.environment", "of service-info"),
    ]

    private var flags: [String: [String]] = [:]
    private let environment: [String: String]
    private var file: [String: [String]] = [:]

    /// - Parameter configuration: path of the configuration file, if there is one.
    init(flags: [String: [String]], environment: [String: String], configuration: String?) throws {
        self.flags = flags.filter { !$0.value.isEmpty }
        self.environment = environment
        if let configuration = configuration ?? environment["POIESIS_CONFIG"] { try read(configuration) }
    }

    private mutating func read(_ path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw StartError("cannot read the configuration file \(path)")
        }
        do throws(YAMLError) {
            let root = try parseYAML(String(decoding: data, as: UTF8.self), file: path)
            guard root.entries != nil || root.isNull else {
                throw YAMLError(location: root.location, message: "a configuration is a mapping, not \(root.kindName)")
            }
            try flatten(root, prefix: "")
        } catch { throw StartError(error.description) }
    }

    private mutating func flatten(_ node: YAMLNode, prefix: String) throws(YAMLError) {
        for entry in node.entries ?? [] {
            let key = prefix + (entry.key.text ?? "")
            if entry.value.entries != nil, Self.keys.contains(where: { $0.name.hasPrefix(key + ".") }) {
                try flatten(entry.value, prefix: key + ".")
            } else if Self.keys.contains(where: { $0.name == key || $0.name == key + "[]" }) {
                file[key] = entry.value.items?.compactMap(\.text) ?? [entry.value.text].compactMap { $0 }
            } else {
                throw YAMLError(location: entry.key.location, message: "there is no setting \"\(key)\"")
            }
        }
    }

    /// The same with another default for one key.
    func with(default value: String, for key: String) -> Settings {
        var settings = self
        if text(key) == nil { settings.flags[key] = [value] }
        return settings
    }

    func list(_ key: String) -> [String] {
        if let values = flags[key] { return values }
        let variable = "POIESIS_" + key.uppercased().replacing(".", with: "_")
        if let text = environment[variable], !text.isEmpty { return text.split(separator: ",").map(String.init) }
        return file[key] ?? []
    }

    /// The last value of a key, or of a variable that others use too.
    func text(_ key: String, _ variables: String...) -> String? {
        if let value = flags[key]?.last { return value }
        for variable in ["POIESIS_" + key.uppercased().replacing(".", with: "_")] + variables {
            if let value = environment[variable], !value.isEmpty { return value }
        }
        return file[key]?.last
    }

    func integer(_ key: String) throws -> Int? {
        guard let text = text(key) else { return nil }
        guard let value = Int(text), value > 0 else {
            throw StartError(usage: "\(key) must be a whole number above 0, not \(text)")
        }
        return value
    }

    func choice(_ key: String, _ choices: [String]) throws -> String? {
        guard let text = text(key) else { return nil }
        guard choices.contains(text) else {
            throw StartError(usage: "\(key) must be \(choices.joined(separator: " or ")), not \(text)")
        }
        return text
    }

    /// Without its variables, for programs that need them all.
    var variables: [String: String] { environment }
}
