/// Reads one JSON document.
func decoded<Value: JSONValue>(_ type: Value.Type, _ bytes: [UInt8]) throws(KubernetesError) -> Value {
    var reader = JSONReader(bytes, purpose: .answer)
    do throws(JSONSyntaxError) {
        if let value = try reader.document(type), reader.problems.isEmpty { return value }
    } catch {
        throw .unreadable(error.description)
    }
    throw .unreadable(reader.problems.prefix(5).map(\.description).joined(separator: "; "))
}

extension ObjectList: JSONValue {
    package static func read(_ reader: inout JSONReader) throws(JSONSyntaxError) -> ObjectList? {
        guard try reader.beginObject() else { return nil }
        var list = ObjectList()
        var seen: UInt64 = 0
        var others: Set<String> = []
        while let key = try reader.nextKey() {
            let place: Int
            switch (key.low, key.count) {
            case (0x6174_6164_6174_656d, 8): place = 1  // metadata
            case (0x73_6d65_7469, 5): place = 2  // items
            default: place = 0
            }
            guard try reader.beginValue(key, place: place, &seen, &others) else { continue }
            switch place {
            case 1:
                let metadata = try ListMeta.read(&reader)
                list.resourceVersion = metadata?.resourceVersion
                list.continueToken = metadata?.continue.flatMap { $0.isEmpty ? nil : $0 }
                list.remainingItemCount = metadata?.remainingItemCount
            case 2:
                let items = try reader.array(or: nil) {
                    (reader: inout JSONReader) throws(JSONSyntaxError) in try Object.read(&reader)
                }
                list.items = items?.compactMap { $0?.completed } ?? []
            default: try reader.skip()
            }
        }
        return list
    }

    package func write(_ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("items")
        writer.beginArray()
        for item in items {
            writer.element()
            item.write(&writer)
        }
        writer.endArray()
        writer.endObject()
    }
}

/// One line of a watch, as it is on the wire: `{"type":"ADDED","object":{…}}`.
struct WatchLine<Object: KubernetesObject>: JSONValue {
    var type = ""
    var object: Object?
    /// The object of an `ERROR`.
    var status: Status?

    static func read(_ reader: inout JSONReader) throws(JSONSyntaxError) -> WatchLine? {
        guard try reader.beginObject() else { return nil }
        var line = WatchLine()
        var seen: UInt64 = 0
        var others: Set<String> = []
        // Where the object stands before its type, it is read again once the type is known.
        var early: JSONReader?
        while let key = try reader.nextKey() {
            let place: Int
            switch (key.low, key.count) {
            case (0x6570_7974, 4): place = 1  // type
            case (0x7463_656a_626f, 6): place = 2  // object
            default: place = 0
            }
            guard try reader.beginValue(key, place: place, &seen, &others) else { continue }
            switch place {
            case 1: line.type = try reader.string() ?? ""
            case 2 where line.type.isEmpty:
                early = reader
                try reader.skip()
            case 2: try line.readObject(&reader)
            default: try reader.skip()
            }
        }
        if var early { try line.readObject(&early) }
        return line
    }

    private mutating func readObject(_ reader: inout JSONReader) throws(JSONSyntaxError) {
        if type == "ERROR" {
            status = try Status.read(&reader)
        } else {
            object = try Object.read(&reader)
        }
    }

    func write(_ writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("type")
        writer.string(type)
        if let object {
            writer.key("object")
            object.write(&writer)
        }
        writer.endObject()
    }
}
