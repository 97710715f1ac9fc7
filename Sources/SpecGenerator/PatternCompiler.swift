/// A regular expression as a program for the runtime's matcher, whose time grows with the text alone, never exponentially:
/// texts come from clients that nobody knows.
struct PatternModel: Hashable, Sendable {
    enum Step: Hashable, Sendable {
        /// Takes one Unicode scalar out of these ranges.
        case take([ClosedRange<UInt32>])
        /// Goes on at both places.
        case split(Int, Int)
        case jump(Int)
        /// Holds at the text's start, or at its end.
        case start, end
        case match
    }

    var text: String
    var steps: [Step]
}

/// Compiles the part of ECMA 262's regular expressions that needs no memory: no back references, no look-around, no `\b`.
struct PatternCompiler {
    struct Failure: Error { var message: String }

    private indirect enum Node {
        case take([ClosedRange<UInt32>])
        case start, end
        case sequence([Node])
        case either([Node])
        case repeated(Node, least: Int, most: Int?)
    }

    private static let mostSteps = 1000
    private static let last: UInt32 = 0x10FFFF
    private static let digits: [ClosedRange<UInt32>] = [48...57]
    private static let wordCharacters: [ClosedRange<UInt32>] = [48...57, 65...90, 95...95, 97...122]
    private static let spaces: [ClosedRange<UInt32>] = [
        9...13, 32...32, 160...160, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ]
    private static let lineEnds: [ClosedRange<UInt32>] = [10...10, 13...13, 0x2028...0x2029]

    private let scalars: [Unicode.Scalar]
    private var index = 0
    private var steps: [PatternModel.Step] = []
    /// Nodes put down so far: a group that holds nothing makes no steps however often it is repeated.
    private var emitted = 0

    private init(_ text: String) { scalars = Array(text.unicodeScalars) }

    static func compile(_ text: String) throws(Failure) -> PatternModel {
        var compiler = PatternCompiler(text)
        let node = try compiler.alternatives(depth: 0)
        if compiler.peek != nil { throw Failure(message: "a closing parenthesis has no opening one") }
        try compiler.emit(node)
        compiler.steps.append(.match)
        return PatternModel(text: text, steps: compiler.steps)
    }

    // MARK: Parsing

    private var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func next(_ what: String) throws(Failure) -> Unicode.Scalar {
        guard let scalar = peek else { throw Failure(message: "the expression ends inside \(what)") }
        index += 1
        return scalar
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        index += 1
        return true
    }

    private mutating func alternatives(depth: Int) throws(Failure) -> Node {
        guard depth < 50 else { throw Failure(message: "groups are nested too deeply") }
        var parts: [Node] = []
        repeat {
            var sequence: [Node] = []
            while let scalar = peek, scalar != "|", scalar != ")" { sequence.append(try term(depth)) }
            parts.append(.sequence(sequence))
        } while take("|")
        return parts.count == 1 ? parts[0] : .either(parts)
    }

    private mutating func term(_ depth: Int) throws(Failure) -> Node {
        if take("^") { return .start }
        if take("$") { return .end }
        let atom = try self.atom(depth)
        let bounds: (Int, Int?)
        switch peek {
        case "*": bounds = (0, nil)
        case "+": bounds = (1, nil)
        case "?": bounds = (0, 1)
        case "{": bounds = try counts()
        default: return atom
        }
        index += 1
        // A lazy quantifier finds another match, not another answer to whether there is one.
        _ = take("?")
        return .repeated(atom, least: bounds.0, most: bounds.1)
    }

    private mutating func counts() throws(Failure) -> (Int, Int?) {
        index += 1
        let least = try number()
        var most: Int? = least
        if take(",") { most = peek == "}" ? nil : try number() }
        guard peek == "}" else { throw Failure(message: "a brace begins no count such as {2,5}") }
        if let most, most < least { throw Failure(message: "the count {\(least),\(most)} runs backwards") }
        return (least, most)
    }

    private mutating func number() throws(Failure) -> Int {
        var value = 0
        var isEmpty = true
        while let scalar = peek, ("0"..."9").contains(scalar), value < 100_000 {
            value = value * 10 + Int(scalar.value - 48)
            isEmpty = false
            index += 1
        }
        if isEmpty { throw Failure(message: "a brace begins no count such as {2,5}") }
        return value
    }

    private mutating func atom(_ depth: Int) throws(Failure) -> Node {
        let scalar = try next("a term")
        switch scalar {
        case ".": return .take(Self.without(Self.lineEnds))
        case "[": return .take(try characterClass())
        case "\\": return .take(try escape())
        case "(":
            if take("?"), !take(":") {
                throw Failure(message: "look-around and named groups are not supported")
            }
            let inner = try alternatives(depth: depth + 1)
            guard take(")") else { throw Failure(message: "a group is not closed") }
            return inner
        case "*", "+", "?", "{": throw Failure(message: "nothing stands before \(scalar)")
        default: return .take([scalar.value...scalar.value])
        }
    }

    private mutating func escape() throws(Failure) -> [ClosedRange<UInt32>] {
        let scalar = try next("an escape")
        switch scalar {
        case "d": return Self.digits
        case "D": return Self.without(Self.digits)
        case "w": return Self.wordCharacters
        case "W": return Self.without(Self.wordCharacters)
        case "s": return Self.spaces
        case "S": return Self.without(Self.spaces)
        case "t": return [9...9]
        case "n": return [10...10]
        case "v": return [11...11]
        case "f": return [12...12]
        case "r": return [13...13]
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case _ where scalar.properties.isAlphabetic || ("0"..."9").contains(scalar):
            throw Failure(message: "\\\(scalar) is not supported")
        default: return [scalar.value...scalar.value]
        }
    }

    private mutating func hexadecimal(_ count: Int) throws(Failure) -> [ClosedRange<UInt32>] {
        var value: UInt32 = 0
        for _ in 0..<count {
            guard let digit = Character(try next("an escape")).hexDigitValue else {
                throw Failure(message: "an escape has too few hexadecimal digits")
            }
            value = value * 16 + UInt32(digit)
        }
        return [value...value]
    }

    private mutating func characterClass() throws(Failure) -> [ClosedRange<UInt32>] {
        let isNegated = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while !take("]") {
            let first = try member()
            guard peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else {
                ranges += first
                continue
            }
            index += 1
            let last = try member()
            guard first.count == 1, last.count == 1, first[0].count == 1, last[0].count == 1,
                first[0].lowerBound <= last[0].lowerBound
            else { throw Failure(message: "a range in a character class runs backwards or has no ends") }
            ranges.append(first[0].lowerBound...last[0].lowerBound)
        }
        return isNegated ? Self.without(ranges) : Self.joined(ranges)
    }

    private mutating func member() throws(Failure) -> [ClosedRange<UInt32>] {
        let scalar = try next("a character class")
        return scalar == "\\" ? try escape() : [scalar.value...scalar.value]
    }

    /// In order, and none touching another.
    private static func joined(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let previous = result.last, range.lowerBound <= previous.upperBound + 1 {
                result[result.count - 1] = previous.lowerBound...max(previous.upperBound, range.upperBound)
            } else {
                result.append(range)
            }
        }
        return result
    }

    private static func without(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in joined(ranges) {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= last { result.append(next...last) }
        return result
    }

    // MARK: Steps

    private mutating func emit(_ node: Node) throws(Failure) {
        emitted += 1
        guard steps.count < Self.mostSteps, emitted < Self.mostSteps * 10 else {
            throw Failure(message: "the expression is too large")
        }
        switch node {
        case .take(let ranges): steps.append(.take(ranges))
        case .start: steps.append(.start)
        case .end: steps.append(.end)
        case .sequence(let nodes): for node in nodes { try emit(node) }
        case .either(let nodes):
            var ends: [Int] = []
            for node in nodes.dropLast() {
                let fork = steps.count
                steps.append(.match)
                try emit(node)
                ends.append(steps.count)
                steps.append(.match)
                steps[fork] = .split(fork + 1, steps.count)
            }
            if let last = nodes.last { try emit(last) }
            for end in ends { steps[end] = .jump(steps.count) }
        case .repeated(let node, let least, let most):
            for _ in 0..<least { try emit(node) }
            guard let most else {
                let fork = steps.count
                steps.append(.match)
                try emit(node)
                steps.append(.jump(fork))
                steps[fork] = .split(fork + 1, steps.count)
                return
            }
            var forks: [Int] = []
            for _ in least..<max(least, most) {
                forks.append(steps.count)
                steps.append(.match)
                try emit(node)
            }
            for fork in forks { steps[fork] = .split(fork + 1, steps.count) }
        }
    }
}
