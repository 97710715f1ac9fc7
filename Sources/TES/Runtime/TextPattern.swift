/// A regular expression that the generator compiled; matching takes time in proportion to the text, whatever the expression.
///
/// It simulates all alternatives side by side: https://swtch.com/~rsc/regexp/regexp1.html
nonisolated package struct TextPattern: Sendable {
    package enum Step: Sendable {
        /// Takes one Unicode scalar out of ranges: the first and the last of each by turns, which compiles faster than ranges do.
        case take([UInt32])
        /// Goes on at both places.
        case split(Int, Int)
        case jump(Int)
        /// Holds at the text's start, or at its end.
        case start, end
        case match
    }

    private let steps: [Step]

    package init(_ steps: [Step]) { self.steps = steps }

    /// Whether the expression matches somewhere in the text.
    package func matches(_ text: String) -> Bool {
        var current: [Int] = []
        var isFirst = true
        for scalar in text.unicodeScalars {
            if follow(&current, isStart: isFirst, isEnd: false) { return true }
            var next: [Int] = []
            for place in current {
                if case .take(let ends) = steps[place], Self.isTaken(scalar.value, ends) { next.append(place + 1) }
            }
            current = next
            isFirst = false
        }
        return follow(&current, isStart: isFirst, isEnd: true)
    }

    private static func isTaken(_ value: UInt32, _ ends: [UInt32]) -> Bool {
        var index = 0
        while index + 1 < ends.count {
            if ends[index] <= value && value <= ends[index + 1] { return true }
            index += 2
        }
        return false
    }

    /// Replaces places by those that take a scalar, a match that begins here among them; true where one has matched.
    private func follow(_ places: inout [Int], isStart: Bool, isEnd: Bool) -> Bool {
        var reached = [Bool](repeating: false, count: steps.count)
        var queue = places
        queue.append(0)
        places = []
        while let place = queue.popLast() {
            if reached[place] { continue }
            reached[place] = true
            switch steps[place] {
            case .take: places.append(place)
            case .split(let first, let second): queue += [first, second]
            case .jump(let target): queue.append(target)
            case .start: if isStart { queue.append(place + 1) }
            case .end: if isEnd { queue.append(place + 1) }
            case .match: return true
            }
        }
        return false
    }
}
