import Foundation

/// What `Package.swift` says of its targets, read as text.
struct Manifest {
    /// Names of modules, direct dependencies only, by target.
    private(set) var dependencies: [String: Set<String>] = [:]

    init() throws {
        let text = try String(contentsOf: PackageFolder.url.appending(path: "Package.swift"), encoding: .utf8)
            .replacing(/\/\/ .*/, with: "")
        var products: [String: String] = [:]
        for match in text.matches(of: /let (\w+) = Target\.Dependency\.product\(\s*name: "([^"]+)"/) {
            products[String(match.1)] = String(match.2)
        }
        for match in text.matches(of: /\.(?:target|executableTarget|testTarget)\(\s*name: "([^"]+)"/) {
            dependencies[String(match.1)] = Self.modules(of: text[match.range.upperBound...], products)
        }
    }

    /// The items of the `dependencies:` array of the target whose declaration goes on with `rest`.
    private static func modules(of rest: Substring, _ products: [String: String]) -> Set<String> {
        let declaration = upToClosing(rest, open: "(", close: ")")
        guard let list = declaration.firstRange(of: "dependencies: [") else { return [] }
        var text = String(upToClosing(declaration[list.upperBound...], open: "[", close: "]"))
        var result: Set<String> = []
        for match in text.matches(of: /\.product\(name: "([^"]+)"[^)]*\)/) { result.insert(String(match.1)) }
        text = text.replacing(/\.product\([^)]*\)/, with: "")
        for match in text.matches(of: /"([^"]+)"/) { result.insert(String(match.1)) }
        for match in text.replacing(/"[^"]+"/, with: "").matches(of: /\w+/) {
            result.insert(products[String(match.0)] ?? "unknown dependency \(match.0)")
        }
        return result
    }

    /// The text before the bracket that closes one opened before it.
    private static func upToClosing(_ text: Substring, open: Character, close: Character) -> Substring {
        var depth = 1
        for index in text.indices {
            if text[index] == open { depth += 1 }
            if text[index] == close { depth -= 1 }
            if depth == 0 { return text[..<index] }
        }
        return text
    }
}
