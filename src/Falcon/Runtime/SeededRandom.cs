using System.Numerics;

namespace Falcon.Runtime;

/// <summary>
/// Random numbers that are the same on every machine and .NET version for the same seed and purpose. The generator is xoshiro256**
/// (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021); its 256 bits of state come from SplitMix64, started at
/// <see cref="Seeds.Derive"/> of seed, purpose and index. Not thread safe, not for cryptography.
/// </summary>
public sealed class SeededRandom
{
    private ulong _s0, _s1, _s2, _s3;
    private double? _spareGaussian;

    /// <summary>
    /// A generator for one named purpose, so that two uses of one seed (say "forget order" and "initial weights") are independent.
    /// </summary>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="purpose">What the numbers are for; part of the seed.</param>
    /// <param name="index">Step, epoch or the like; part of the seed.</param>
    public SeededRandom(ulong seed, string purpose, long index = 0)
    {
        var state = Seeds.Derive(seed, purpose, index);
        (_s0, _s1, _s2, _s3) = (SplitMix64(ref state), SplitMix64(ref state), SplitMix64(ref state), SplitMix64(ref state));
    }

    /// <summary>A generator with the given state; at least one word must not be zero.</summary>
    internal SeededRandom(ulong s0, ulong s1, ulong s2, ulong s3) => (_s0, _s1, _s2, _s3) = (s0, s1, s2, s3);

    /// <summary>The next 64 random bits.</summary>
    public ulong NextUInt64()
    {
        var result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        var t = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= t;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>
    /// A uniform integer from 0 to <paramref name="limit"/> - 1, by rejection.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="limit"/> is not positive.</exception>
    public int Next(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limit);
        var range = (ulong)limit;
        var biased = ulong.MaxValue - (ulong.MaxValue % range + 1) % range; // the largest value of a whole number of ranges
        ulong bits;
        do bits = NextUInt64(); while (bits > biased);
        return (int)(bits % range);
    }

    /// <summary>A number from 0 (included) to 1 (excluded) with 53 random bits.</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>A standard normal number (mean 0, variance 1), by the polar method.</summary>
    public double NextGaussian()
    {
        if (_spareGaussian is { } spare)
        {
            _spareGaussian = null;
            return spare;
        }
        double x, y, square;
        do
        {
            x = 2 * NextDouble() - 1;
            y = 2 * NextDouble() - 1;
            square = x * x + y * y;
        } while (square is >= 1 or 0);
        var scale = Math.Sqrt(-2 * Math.Log(square) / square);
        _spareGaussian = y * scale;
        return x * scale;
    }

    /// <summary>Shuffles <paramref name="items"/> in place; every order is equally likely (Fisher-Yates).</summary>
    public void Shuffle<T>(Span<T> items)
    {
        for (var last = items.Length - 1; last > 0; last--)
        {
            var other = Next(last + 1);
            (items[last], items[other]) = (items[other], items[last]);
        }
    }

    /// <summary>The numbers 0 to <paramref name="count"/> - 1 in a random order.</summary>
    public int[] Permutation(int count)
    {
        var order = Enumerable.Range(0, count).ToArray();
        Shuffle<int>(order);
        return order;
    }

    internal static ulong SplitMix64(ref ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        var z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
