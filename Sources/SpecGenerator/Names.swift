/// Swift names for names of the document.
enum Names {
    private static let keywords: Set = [
        "associatedtype", "class", "deinit", "enum", "extension", "func", "import", "init", "inout", "internal", "let",
        "operator", "private", "protocol", "public", "static", "struct", "subscript", "typealias", "var", "break",
        "case", "continue", "default", "defer", "do", "else", "fallthrough", "for", "guard", "if", "in", "repeat",
        "return", "switch", "where", "while", "as", "catch", "false", "is", "nil", "rethrows", "self", "super",
        "throw", "throws", "true", "try", "Type", "Self",
    ]

    /// `backend_parameters`, `EXECUTOR_ERROR` → `backendParameters`, `executorError`; keywords get backticks.
    static func member(_ name: String) -> String {
        let words = name.split { !$0.isLetter && !$0.isNumber }
        var result = ""
        for (index, word) in words.enumerated() {
            let text = word.allSatisfy { !$0.isLowercase } ? word.lowercased() : String(word)
            result += index == 0 ? text.prefix(1).lowercased() + text.dropFirst() : capitalized(text)
        }
        if result.isEmpty || result.first?.isNumber == true { result = "_" + result }
        return keywords.contains(result) ? "`\(result)`" : result
    }

    /// `service-type` → `ServiceType`.
    static func type(_ name: String) -> String {
        name.split { !$0.isLetter && !$0.isNumber }.map { capitalized(String($0)) }.joined()
    }

    private static func capitalized(_ word: String) -> String { word.prefix(1).uppercased() + word.dropFirst() }
}
