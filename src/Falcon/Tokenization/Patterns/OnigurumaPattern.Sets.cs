namespace Falcon.Tokenization.Patterns;

/// <summary>Sets in brackets.</summary>
internal sealed partial class OnigurumaPattern
{
    // After the opening bracket; up to and with the closing one.
    private CharacterSet Set(Options options)
    {
        var whole = new CharacterSet { Negated = Skip("^") };
        var part = new CharacterSet();
        List<CharacterSet> parts = [part];
        for (var first = true; ; first = false)
        {
            if (Ended)
                throw new FormatException("a bracket is not closed");
            if (!first && Skip("]"))
                break;
            if (Skip("&&"))
            {
                if (part.IsEmpty)
                    throw Refused("an intersection with nothing before &&");
                parts.Add(part = new CharacterSet());
                continue;
            }

            if (Skip("[:"))
                part.Add(PosixBracket(options));
            else if (Skip("["))
                part.Add(Set(options));
            else if (Starts("\\") && SetProperty() is { } property)
            {
                RequireBothCases(property, options);
                part.Add(property);
                if (Starts("-") && !Starts("-]") && !Starts("-[") && !Starts("-&&"))
                    throw Refused("a hyphen after a class in brackets");
            }
            else
                AddRange(part, options);
        }

        if (parts.Exists(one => one.IsEmpty))
            throw Refused("an intersection with nothing after &&");
        whole.Add(parts[0]);
        whole.Also.AddRange(parts.Skip(1));
        if (whole.Also.Count > 0)
            return whole;
        part.Negated = whole.Negated;
        return part;
    }

    private CharacterProperty? SetProperty()
    {
        _at++;
        if (Ended)
            throw new FormatException("it ends in a backslash");
        var property = Property();
        if (property is null)
            _at--;
        else if (property.Text == CharacterProperty.Word.Text)
            property = property.Negated ? CharacterProperty.WordInSet.Not() : CharacterProperty.WordInSet;
        return property;
    }

    private void AddRange(CharacterSet part, Options options)
    {
        var first = SetCharacter();
        var last = first;
        if (Starts("-") && !Starts("-]") && !Starts("-[") && !Starts("-&&"))
        {
            _at++;
            if (Starts("\\") && _at + 1 < _text.Length && "sdwhpSDWHP".Contains(_text[_at + 1], StringComparison.Ordinal))
                throw new FormatException("a class ends a range in brackets");
            last = SetCharacter();
            if (last < first)
                throw new FormatException($"the range {first}-{last} is empty");
        }

        if (options.IgnoreCase && !char.IsAscii(last))
            throw Refused($"'{last}' without regard to case");
        Ranges.Add((first, last));
        part.Add(first, last);
        if (!options.IgnoreCase)
            return;
        for (var character = first; character <= last; character++)
            foreach (var other in CharacterSet.OtherCases(character))
                part.Add(other, other);
    }

    private char SetCharacter()
    {
        if (Ended)
            throw new FormatException("a bracket is not closed");
        if (!Skip("\\"))
            return _text[_at++];
        if (Ended)
            throw new FormatException("it ends in a backslash");
        return Skip("b") ? '\b' : Character();
    }

    private CharacterProperty PosixBracket(Options options)
    {
        var negated = Skip("^");
        var end = _text.IndexOf(":]", _at, StringComparison.Ordinal);
        var name = end < 0 ? throw Refused("a set that begins with a colon") : _text[_at..end];
        _at = end + 2;
        var property = CharacterProperty.Posix(name) ?? throw Refused($"[:{name}:]");
        RequireBothCases(property, options);
        return negated ? property.Not() : property;
    }
}
