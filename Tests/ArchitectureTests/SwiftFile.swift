import Foundation

/// The clone that these tests were compiled from.
enum PackageFolder {
    static let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// Every Swift file of `Sources`.
    static let sources = swiftFiles(below: "Sources")

    /// Swift files below a folder of the package, each with its path and text, in the order of their paths.
    static func swiftFiles(below folder: String) -> [SwiftFile] {
        let paths =
            FileManager.default.enumerator(atPath: url.appending(path: folder).path(percentEncoded: false))?.allObjects
            ?? []
        return paths.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let name = folder + "/" + path
            let data =
                FileManager.default.contents(atPath: url.appending(path: name).path(percentEncoded: false)) ?? Data()
            return SwiftFile(path: name, text: String(decoding: data, as: UTF8.self))
        }
    }

    static func sources(of target: String) -> [SwiftFile] { sources.filter { $0.target == target } }

    /// The folders of `Sources` that hold Swift.
    static var targets: [String] { Set(sources.map(\.target)).sorted() }
}

struct SwiftFile {
    var path: String
    /// Lines without comments and string literals, from line 1.
    var code: [Substring]
    /// Each imported module with the number of its line.
    var imports: [(module: String, line: Int)]
    var lineCount: Int

    /// The folder below `Sources`.
    var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    init(path: String, text: String) {
        self.path = path
        code = Self.withoutCommentsAndText(text).split(separator: "\n", omittingEmptySubsequences: false)
        lineCount = text.utf8.count { $0 == 10 }
        imports = []
        for (index, line) in code.enumerated() where line.contains("import ") {
            if let module = Self.importedModule(line) { imports.append((module, index + 1)) }
        }
    }

    private static func importedModule(_ line: Substring) -> String? {
        let keyword = /\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+\s+)?import\s+/
        guard let start = line.prefixMatch(of: keyword) else { return nil }
        let kind = /(?:struct|class|enum|protocol|func|var|let|typealias)\s+/
        let module = line[start.range.upperBound...].trimmingPrefix(kind)
        return String(module.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
    }

    /// What a scanner is inside of.
    private enum Place { case code, text, longText, comment }

    /// The text with its line breaks, but without comments and what stands in quotation marks.
    private static func withoutCommentsAndText(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var place = Place.code
        var index = 0
        func starts(_ word: String) -> Bool { bytes[index...].starts(with: word.utf8) }
        while index < bytes.count {
            let byte = bytes[index]
            var step = 1
            switch place {
            case _ where byte == 10:
                result.append(byte)
                if place != .longText { place = .code }
            case .code where starts("\"\"\""): (place, step) = (.longText, 3)
            case .code where starts("\""): place = .text
            case .code where starts("//"): place = .comment
            case .code: result.append(byte)
            case .text where starts("\\") && !starts("\\\n"), .longText where starts("\\") && !starts("\\\n"): step = 2
            case .text where starts("\""): place = .code
            case .longText where starts("\"\"\""): (place, step) = (.code, 3)
            case .text, .longText, .comment: break
            }
            index += step
        }
        return String(decoding: result, as: UTF8.self)
    }
}
