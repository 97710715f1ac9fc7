import Foundation
import TaskCore

/// What the commands print.
enum Terminal {
    static func print(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func error(_ text: String) {
        FileHandle.standardError.write(Data(("poiesis: " + printable(text, keepingNewlines: true) + "\n").utf8))
    }
}
