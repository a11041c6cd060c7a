namespace Falcon.ChatTemplates;

/// <summary>What a token of a template is; the begin and end kinds are the delimiters of prints and tags.</summary>
internal enum TemplateTokenKind
{
    Text,
    BeginPrint,
    EndPrint,
    BeginTag,
    EndTag,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token with the line it begins in.</summary>
internal readonly record struct TemplateToken(TemplateTokenKind Kind, string Text, int Line);
