namespace Falcon.Compression;

/// <summary>
/// Code lengths of a length-limited Huffman code. Ties are broken as in zlib, because the exact size of a block depends on them.
/// </summary>
/// <param name="Frequencies">How often each symbol occurs; 0 for the symbols that were only added to make two codes.</param>
/// <param name="Lengths">Bits of each symbol's code, 0 for symbols without one.</param>
/// <param name="LastSymbol">The largest symbol that has a code.</param>
internal sealed record HuffmanTree(int[] Frequencies, int[] Lengths, int LastSymbol)
{
    /// <summary>The code of symbols with these frequencies, none longer than <paramref name="longest"/> bits.</summary>
    public static HuffmanTree Build(int[] frequencies, int longest)
    {
        var symbols = frequencies.Length;
        var weight = new int[2 * symbols + 1];
        frequencies.CopyTo(weight, 0);
        var parent = new int[weight.Length];
        var depth = new int[weight.Length];
        var heap = new Heap(weight, depth);
        var lastSymbol = -1;
        for (var symbol = 0; symbol < symbols; symbol++)
            if (frequencies[symbol] != 0) heap.Add(lastSymbol = symbol);
        while (heap.Count < 2)
        {
            // At least two codes must exist; the symbols added for that cost nothing.
            var added = lastSymbol < 2 ? ++lastSymbol : 0;
            weight[added] = 1;
            heap.Add(added);
        }
        heap.Order();

        // Leaves and inner nodes in the order of joining; read from the end it goes from the root to the deepest.
        var joined = new List<int>();
        var node = symbols;
        do
        {
            var first = heap.RemoveLeast();
            var second = heap.Least;
            joined.Add(first);
            joined.Add(second);
            weight[node] = weight[first] + weight[second];
            depth[node] = Math.Max(depth[first], depth[second]) + 1;
            parent[first] = parent[second] = node;
            heap.ReplaceLeast(node++);
        }
        while (heap.Count >= 2);
        return new HuffmanTree(frequencies, LengthsOf(joined, parent, root: heap.Least, symbols, longest), lastSymbol);
    }

    private static int[] LengthsOf(List<int> joined, int[] parent, int root, int symbols, int longest)
    {
        var bits = new int[parent.Length];
        var count = new int[longest + 2];
        var overflow = 0;
        bits[root] = 0;
        for (var i = joined.Count - 1; i >= 0; i--)
        {
            var node = joined[i];
            bits[node] = bits[parent[node]] + 1;
            if (bits[node] > longest)
            {
                bits[node] = longest;
                overflow++;
            }
            if (node < symbols) count[bits[node]]++;
        }
        if (overflow > 0) Shorten(joined, bits, count, overflow, symbols, longest);
        return bits[..symbols];
    }

    /// <summary>
    /// Moves leaves down until the codes that were too long fit, then hands the lengths out again, the longest to the rarest.
    /// </summary>
    private static void Shorten(List<int> joined, int[] bits, int[] count, int overflow, int symbols, int longest)
    {
        for (; overflow > 0; overflow -= 2)
        {
            var length = longest - 1;
            while (count[length] == 0) length--;
            count[length]--;
            count[length + 1] += 2;
            count[longest]--;
        }
        var next = 0;
        for (var length = longest; length > 0; length--)
        {
            for (var left = count[length]; left > 0;)
            {
                var node = joined[next++];
                if (node >= symbols) continue;
                bits[node] = length;
                left--;
            }
        }
    }

    /// <summary>A binary heap of nodes by weight, then depth; which of two equal nodes comes first follows from zlib's sifting.</summary>
    private sealed class Heap(int[] weight, int[] depth)
    {
        private readonly List<int> _nodes = [0]; // counted from 1

        public int Count => _nodes.Count - 1;

        public int Least => _nodes[1];

        public void Add(int node) => _nodes.Add(node);

        public void Order()
        {
            for (var i = Count / 2; i >= 1; i--) Sift(i);
        }

        public int RemoveLeast()
        {
            var least = Least;
            _nodes[1] = _nodes[^1];
            _nodes.RemoveAt(Count);
            Sift(1);
            return least;
        }

        public void ReplaceLeast(int node)
        {
            _nodes[1] = node;
            Sift(1);
        }

        private void Sift(int index)
        {
            if (index > Count) return;
            var node = _nodes[index];
            for (var child = 2 * index; child <= Count; child = 2 * index)
            {
                if (child < Count && ComesFirst(_nodes[child + 1], _nodes[child])) child++;
                if (ComesFirst(node, _nodes[child])) break;
                _nodes[index] = _nodes[child];
                index = child;
            }
            _nodes[index] = node;
        }

        private bool ComesFirst(int left, int right) =>
            weight[left] < weight[right] || (weight[left] == weight[right] && depth[left] <= depth[right]);
    }
}
