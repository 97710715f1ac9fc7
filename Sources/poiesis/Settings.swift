import ArgumentParser
import Foundation
import Postgres
import YAML

/// What a person got wrong, in one sentence that names the thing and the remedy.
struct StartError: Error, CustomStringConvertible {
    var description: String
    /// What was typed is wrong, not the machine.
    var isUsage = false

    init(_ description: String) { self.description = withoutPasswords(description) }

    init(usage description: String) {
        self.description = withoutPasswords(description)
        isUsage = true
    }

    /// Runs a server, or what needs its database; says why it could not and exits, with 64 where what was typed is wrong.
    static func exiting(_ body: () async throws -> Void) async throws {
        // A log whose reader has gone must not end the server.
        signal(SIGPIPE, SIG_IGN)
        do {
            try await body()
        } catch let error as ExitCode {
            throw error
        } catch let error as StartError where error.isUsage {
            Terminal.error(error.description)
            throw ExitCode(64)
        } catch {
            Terminal.error(sentence(error))
            throw ExitCode(1)
        }
    }

    private static func sentence(_ error: any Error) -> String {
        switch error {
        case PostgresError.refused(let message) where message.sqlState == "42501":
            """
            the database's user lacks a right: \(message.primary). Let the owner of the schema poiesis run poiesis schema migrate and \
            poiesis schema roles (on Kubernetes: the Job of schema.yaml), or log in as the owner
            """
        case let error as PostgresError: "\(error): start it, or correct --database"
        default: "\(error)"
        }
    }
}

/// Settings from three places: a flag wins over the environment, which wins over the configuration file.
///
/// Each key `a.b` is a mapping in the file and `POIESIS_A_B` in the environment. docs/reference/configuration.md lists them.
struct Settings {
    /// Every key; `[]` at its end takes a list, `{}` a mapping or a list of `NAME=VALUE`.
    static let keys: Set<String> = kubernetesKeys.union([
        "backend", "listen", "data", "database", "database_file", "engine", "registry.config", "allow_files[]", "auth",
        "log.level", "log.format", "server.hosts[]", "server.cors[]", "server.body_limit", "server.list_timeout",
        "resources.cpu_cores", "resources.memory", "resources.memory_floor", "outputs.missing", "content_limit",
        "vm_price_per_hour_usd",
        "s3.endpoint", "s3.region", "s3.access_key", "s3.secret_key", "s3.session_token", "s3.path_style",
        "s3.logins[]", "tls.ca_file",
        "service.id", "service.name", "service.description", "service.organization.name", "service.organization.url",
        "service.contact_url", "service.documentation_url", "service.environment",
    ])

    private var flags: [String: [String]] = [:]
    private let environment: [String: String]
    private var file: [String: [String]] = [:]
    /// The path of the configuration file, where there is one.
    private(set) var configurationFile: String?

    /// - Parameter configuration: path of the configuration file, if there is one.
    init(flags: [String: [String]], environment: [String: String], configuration: String?) throws {
        self.flags = flags.filter { !$0.value.isEmpty }
        self.environment = environment
        configurationFile = configuration ?? environment["POIESIS_CONFIG"]
        if let configurationFile { try read(configurationFile) }
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
            if let members = entry.value.entries, Self.keys.contains(key + "{}") {
                file[key] = members.map { "\($0.key.text ?? "")=\($0.value.text ?? "")" }
            } else if entry.value.entries != nil, Self.keys.contains(where: { $0.hasPrefix(key + ".") }) {
                try flatten(entry.value, prefix: key + ".")
            } else if !Self.keys.isDisjoint(with: [key, key + "[]", key + "{}"]) {
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

    /// A key's name in the environment.
    static func variable(_ key: String) -> String { "POIESIS_" + key.uppercased().replacing(".", with: "_") }

    func list(_ key: String) -> [String] {
        if let values = flags[key] { return values }
        if let text = environment[Self.variable(key)], !text.isEmpty {
            return text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        return file[key] ?? []
    }

    /// The last value of a key, or of a variable that others use too.
    func text(_ key: String, _ variables: String...) -> String? {
        if let value = flags[key]?.last { return value }
        for variable in [Self.variable(key)] + variables {
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

    /// All variables, for parts that read the usual ones of others.
    var variables: [String: String] { environment }
}

/// A text in which no URL says who asks: `https://KEY:SECRET@host` is `…@host`.
func withoutPasswords(_ text: String) -> String { text.replacing(/[^\s\/@=]*:[^\s]*@/, with: "…@") }
