import Foundation
import TaskCore

/// What the commands print.
enum Terminal {
    /// Ends the program with status 74 where nothing can be written, as on a full disk.
    static func print(_ text: String) {
        do { try FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8)) } catch { Foundation.exit(74) }
    }

    /// Other people's text as it is, but for what a terminal would obey.
    static func pass(_ text: String, toErrors: Bool = false) {
        let handle = toErrors ? FileHandle.standardError : .standardOutput
        do { try handle.write(contentsOf: Data(printable(text, keepingNewlines: true).utf8)) } catch {
            Foundation.exit(74)
        }
    }

    /// A JSON document; what a terminal would obey is written as JSON's own escapes.
    static func print(json bytes: [UInt8]) {
        var text = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            if printable(String(scalar)).unicodeScalars.count == 1 {
                text.unicodeScalars.append(scalar)
            } else {
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        print(text)
    }

    static func error(_ text: String) {
        let line = "poiesis: " + printable(text, keepingNewlines: true) + "\n"
        try? FileHandle.standardError.write(contentsOf: Data(line.utf8))
    }
}
