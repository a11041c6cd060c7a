namespace Falcon.Reporting;

/// <summary>The style sheets of the report page: fonts of the system, colours for light and dark, readable when printed.</summary>
internal static class ReportStyle
{
    /// <summary>Colours and the parts that charts use; also goes into an .svg file of its own.</summary>
    public const string Chart = """

        :root{color-scheme:light dark;--page:#f6f5f2;--card:#fff;--ink:#1d2125;--soft:#5b636b;--line:#e3e1dc;--grid:#ebe9e4;--s0:#1f5fbf;
        --s1:#b8500b;--s2:#0f766a;--s3:#95307f;--band:#dfe7e4;--bandline:#5d7d74;--good:#14713f;--goodback:#e7f4ec;--mid:#8a5a00;
        --midback:#fbf2dc;--bad:#ab2222;--badback:#fbeaea;--code:#f3f2ee}
        @media (prefers-color-scheme:dark){:root{--page:#14171a;--card:#1c2024;--ink:#e8eaec;--soft:#a3abb3;--line:#31373d;--grid:#292f34;
        --s0:#78aef5;--s1:#f0a05c;--s2:#55c4b2;--s3:#dd8fcb;--band:#2b3d39;--bandline:#8fb5aa;--good:#7fd6a2;--goodback:#183426;
        --mid:#e9c46a;--midback:#383018;--bad:#f39a94;--badback:#3d2222;--code:#171a1d}}
        svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--soft)}
        svg .chart-title{font-size:13.5px;font-weight:600;fill:var(--ink)}
        svg .strong{font-weight:700;fill:var(--ink)}
        svg path{fill:none}
        .grid{stroke:var(--grid)}.zero{stroke:var(--soft);stroke-opacity:.6}
        .curve{stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
        .s0{stroke:var(--s0)}.s1{stroke:var(--s1);stroke-dasharray:6 3}.s2{stroke:var(--s2);stroke-dasharray:2 3}.s3{stroke:var(--s3);
        stroke-dasharray:8 3 2 3}
        .bar{fill:var(--s0);fill-opacity:.38}.bar.chosen{fill:var(--s1);fill-opacity:1}
        .whisker{stroke:var(--ink);stroke-width:1.4}
        .failed{stroke:var(--bad);stroke-width:2}

        """;

    /// <summary>The page around the charts.</summary>
    public const string Page = """

        *{box-sizing:border-box}
        body{margin:0;background:var(--page);color:var(--ink);
        font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        main{max-width:1060px;margin:0 auto;padding:40px 20px 64px}
        header p.kind{margin:0;color:var(--soft);font-size:14px;letter-spacing:.02em}
        h1{font-size:30px;line-height:1.2;margin:4px 0 20px}
        h2{font-size:20px;margin:40px 0 8px}
        h2+p,.note{color:var(--soft);margin:0 0 14px;max-width:72ch}
        .note{font-size:14px}
        .verdict{display:flex;gap:16px;align-items:flex-start;border-radius:12px;padding:18px 22px;font-size:18px;line-height:1.5;
        max-width:none;margin:0}
        .verdict .mark{flex:none;width:30px;height:30px;border-radius:50%;display:grid;place-items:center;font-weight:700;font-size:17px;
        color:var(--card);margin-top:1px}
        .verdict.success{background:var(--goodback)}.success .mark{background:var(--good)}
        .verdict.partial,.verdict.unknown{background:var(--midback)}.partial .mark,.unknown .mark{background:var(--mid)}
        .verdict.failure{background:var(--badback)}.failure .mark{background:var(--bad)}
        .card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:6px 20px;overflow-x:auto}
        table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        caption{text-align:left;color:var(--soft);font-size:14px;padding:8px 0}
        th,td{text-align:left;padding:10px 14px 10px 0;vertical-align:middle;border-top:1px solid var(--line)}
        thead th{border-top:0;color:var(--soft);font-weight:600;font-size:14px}
        tbody th{font-weight:500}
        tr.group th{font-size:13px;font-weight:600;color:var(--soft);padding-top:18px;border-top:0}
        tr.group+tr th,tr.group+tr td{border-top:0}
        tr.sum th{font-weight:700}
        td b{font-size:17px;font-weight:650;white-space:nowrap}
        td small{display:block;color:var(--soft);font-size:12.5px;white-space:nowrap}
        th small{display:block;color:var(--soft);font-size:12.5px;font-weight:400}
        .strip{width:190px;height:30px;display:block}
        .track{stroke:var(--line);stroke-width:4;stroke-linecap:round}.band{fill:var(--band)}.band-middle{stroke:var(--bandline);
        stroke-width:1.5}
        .move{stroke:var(--soft);stroke-width:1.6;stroke-dasharray:2 3}
        .before{fill:var(--card);stroke:var(--s0);stroke-width:2.2}.after{fill:var(--s1);stroke:var(--card);stroke-width:1.4}
        .key{display:flex;flex-wrap:wrap;gap:6px 22px;color:var(--soft);font-size:14px;margin:10px 0 0;padding:0;list-style:none}
        .key li{display:flex;align-items:center;gap:8px}.key svg{width:18px;height:18px}
        .answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px}
        .answers article{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px}
        .answers h3{font-size:17px;line-height:1.4;margin:6px 0 2px}
        .answers .expected{color:var(--soft);font-size:14px;margin:0 0 12px}
        .tag{display:inline-block;font-size:12.5px;font-weight:600;border-radius:20px;padding:2px 10px;border:1px solid currentColor}
        .tag.forget{color:var(--s1)}.tag.retain,.tag.general{color:var(--s2)}
        dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 18px;margin:0;padding:10px 0}
        dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
        .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
        .charts figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px}
        .chart{width:100%;height:auto;display:block}
        details{background:var(--card);border:1px solid var(--line);border-radius:12px;margin-top:12px}
        summary{cursor:pointer;padding:12px 20px;font-weight:600}
        summary:focus-visible{outline:3px solid var(--s0);outline-offset:2px;border-radius:12px}
        details>div{padding:0 20px 14px;overflow-x:auto}
        pre{background:var(--code);border-radius:8px;padding:14px;margin:0;overflow-x:auto;font-size:13px;line-height:1.45}
        code,.hash{font-family:ui-monospace,SFMono-Regular,Consolas,"Liberation Mono",monospace;font-size:12.5px;overflow-wrap:anywhere}
        section.run+section.run{border-top:2px solid var(--line);margin-top:56px;padding-top:20px}
        @media (max-width:640px){main{padding:24px 14px}h1{font-size:25px}.verdict{font-size:16.5px}}
        @media print{body{background:#fff}.card,details,figure,article{break-inside:avoid}}

        """;
}
