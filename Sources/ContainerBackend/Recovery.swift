import Foundation
package import Orchestrator

extension DockerEngine {
    private struct Listed: Decodable {
        var names: [String]
    }

    package func list(_ labels: [String: String]) async throws(EngineError) -> [String] {
        let filters = ["label": labels.map { "\($0.key)=\($0.value)" }]
        guard let encoded = try? JSONEncoder().encode(filters) else { return [] }
        let response = try await call(
            "GET", "/containers/json", query: [("all", "true"), ("filters", String(decoding: encoded, as: UTF8.self))])
        return try Self.decode([Listed].self, response).compactMap { listed in
            listed.names.first.map { String($0.drop { $0 == "/" }) }
        }
    }
}
