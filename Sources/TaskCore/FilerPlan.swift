package import TES

/// What a filer that runs beside a task, in a process of its own, needs: the file `plan` in its control folder.
package struct FilerPlan: Hashable, Sendable {
    package var principal: Principal
    package var task: TESTask

    package init(principal: Principal, task: TESTask) {
        self.principal = principal
        self.task = task
    }

    package var encoded: [UInt8] {
        var document = JSONWriter()
        task.write(&document)
        var writer = FieldWriter()
        writer.add("owner", principal.owner)
        writer.add("task", document.text)
        return writer.bytes
    }

    /// Reads ``encoded``; nil where it is damaged.
    package init?(encoded bytes: [UInt8]) {
        guard let fields = readFields(bytes), fields.map(\.name) == ["owner", "task"],
            let task = TESTask(json: Array(fields[1].value.utf8))
        else { return nil }
        self.init(principal: Principal(owner: fields[0].value), task: task)
    }
}

/// What became of a task's inputs or outputs: the file `result` of a filer in a process of its own.
package struct FilerResult: Hashable, Sendable {
    /// A declared output that does not exist.
    package struct Missing: Hashable, Sendable {
        package var position: Int
        package var path: String

        package init(position: Int, path: String) {
            self.position = position
            self.path = path
        }
    }

    /// The first thing that failed.
    package var failure: CauseSummary?
    /// One for each uploaded file, in the order of the outputs.
    package var records: [OutputRecord] = []
    /// What the user should read.
    package var lines: [String] = []
    package var missing: [Missing] = []

    package init(failure: CauseSummary? = nil) { self.failure = failure }

    package var encoded: [UInt8] {
        var writer = FieldWriter()
        if let failure {
            writer.add("failure", failure.name)
            writer.add("state", failure.state.rawValue)
            writer.add("sentence", failure.sentence)
            if failure.retryHelps { writer.add("retry-helps", "") }
        }
        for record in records {
            var log = JSONWriter()
            record.log.write(&log)
            writer.add("checksum", record.checksum)
            writer.add("output", log.text)
        }
        for line in lines { writer.add("line", line) }
        for missing in missing { writer.add("missing", "\(missing.position) \(missing.path)") }
        writer.add("end", "")
        return writer.bytes
    }

    /// Reads ``encoded``; nil where it is damaged or cut off.
    package init?(encoded bytes: [UInt8]) {
        guard let fields = readFields(bytes), fields.last?.name == "end" else { return nil }
        var checksum = ""
        for (name, value) in fields {
            switch name {
            case "failure":
                failure = CauseSummary(name: value, state: .systemError, sentence: nil, retryHelps: false)
            case "state": failure?.state = TESState(rawValue: value)
            case "sentence": failure?.sentence = value
            case "retry-helps": failure?.retryHelps = true
            case "checksum": checksum = value
            case "output":
                guard let log = TESOutputFileLog(json: Array(value.utf8)) else { return nil }
                records.append(OutputRecord(log: log, checksum: checksum))
            case "line": lines.append(value)
            case "missing":
                let halves = value.split(separator: " ", maxSplits: 1)
                guard halves.count == 2, let position = Int(halves[0]) else { return nil }
                missing.append(Missing(position: position, path: String(halves[1])))
            case "end": break
            default: return nil
            }
        }
    }
}

extension JSONValue {
    /// Reads a document that this program wrote; nil where it is damaged.
    package init?(json bytes: [UInt8]) {
        var reader = JSONReader(bytes, purpose: .answer)
        guard let value = try? reader.document(Self.self) else { return nil }
        self = value
    }
}
