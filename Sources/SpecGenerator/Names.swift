/// Swift names for names of the document.
enum Names {
    /// `backend_parameters`, `EXECUTOR_ERROR` → `backendParameters`, `executorError`; keywords get backticks.
    ///
    /// `self` becomes `selfValue`: as the name of an initialiser's parameter it would hide the value that is made.
    static func member(_ name: String) -> String {
        let result = plainMember(name)
        if result == "self" { return "selfValue" }
        return ReservedNames.keywords.contains(result) ? "`\(result)`" : result
    }

    /// A member's name as the label of an argument: most keywords need no backticks there, and the compiler says so.
    static func label(_ member: String) -> String {
        member == "`inout`" ? member : member.replacing("`", with: "")
    }

    /// The name of an enumeration's case; one that every enumeration has as a member already gets `Value` behind it.
    static func enumerationCase(_ value: String) -> String {
        if value.isEmpty { return "empty" }
        let result = plainMember(value)
        return ReservedNames.enumerationMembers.contains(result) ? result + "Value" : member(value)
    }

    /// A variable of a generated function that is named after a property or table, with a suffix that no parameter has.
    static func local(_ name: String, _ suffix: String) -> String { plainMember(name) + suffix }

    /// `service-type` → `ServiceType`.
    static func type(_ name: String) -> String {
        name.split { !$0.isLetter && !$0.isNumber }.map { capitalized(String($0)) }.joined()
    }

    /// Whether Swift reads the text as one name, in backticks where it is a keyword.
    static func isIdentifier(_ name: String) -> Bool {
        let bare = name.first == "`" && name.last == "`" ? String(name.dropFirst().dropLast()) : name
        guard let first = bare.first, !first.isNumber, bare != "_" else { return false }
        return bare.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
    }

    private static func plainMember(_ name: String) -> String {
        let words = name.split { !$0.isLetter && !$0.isNumber }
        var result = ""
        for (index, word) in words.enumerated() {
            let text = word.allSatisfy { !$0.isLowercase } ? word.lowercased() : String(word)
            result += index == 0 ? text.prefix(1).lowercased() + text.dropFirst() : capitalized(text)
        }
        if result.isEmpty || result.first?.isNumber == true { result = "_" + result }
        return result
    }

    private static func capitalized(_ word: String) -> String { word.prefix(1).uppercased() + word.dropFirst() }
}
