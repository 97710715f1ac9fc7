import Crypto
import Foundation
import TaskCore

/// Where the next page starts: the last id of this one, signed together with the filters that it belongs to.
struct PageToken {
    private let key: SymmetricKey
    private let filter: String

    init(key: [UInt8], filter: TaskFilter, owner: String) {
        self.key = SymmetricKey(data: key)
        self.filter = owner + "\n" + filter.text
    }

    func encode(_ last: TaskID) -> String {
        let id = Array(last.description.utf8)
        return Data(id + signature(id)).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Nil for a token that is damaged, or that belongs to other filters.
    func decode(_ token: String) -> TaskID? {
        let padding = String(repeating: "=", count: (4 - token.utf8.count % 4) % 4)
        let text = token.replacing("-", with: "+").replacing("_", with: "/") + padding
        guard let bytes = Data(base64Encoded: text).map(Array.init), bytes.count == 52 else { return nil }
        let id = Array(bytes.prefix(36))
        // In constant time.
        let difference = zip(signature(id), bytes.suffix(16)).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) }
        // Base64 has several texts for the same bytes: only ours is taken.
        guard difference == 0, let last = TaskID(String(decoding: id, as: UTF8.self)), encode(last) == token else {
            return nil
        }
        return last
    }

    private func signature(_ id: [UInt8]) -> [UInt8] {
        Array(Array(HMAC<SHA256>.authenticationCode(for: id + Array(filter.utf8), using: key)).prefix(16))
    }
}
