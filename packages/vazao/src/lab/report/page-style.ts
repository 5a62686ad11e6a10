/** Colours are those of Okabe and Ito, which people with any colour vision tell apart. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --panel: #f6f8fa;
  --good: #0a6b2e; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1419; --ink: #e6edf3; --soft: #9aa7b4; --line: #30363d; --panel: #171d24;
  --good: #56d37e; --bad: #ff8a80; --warn: #f2c14e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.3rem; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1.05rem; } p, li { max-width: 70ch; } .soft { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .925rem; }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 11rem; } thead th { vertical-align: bottom; }
.passed { color: var(--good); } .failed { color: var(--bad); } .void, .unknown, .doubtful { color: var(--warn); }
.passed, .failed, .void, .unknown, .doubtful { font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 32rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .75rem; background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .25rem; }
.bar { display: flex; height: 1.4rem; margin: .15rem 0 .35rem; border-radius: .2rem; overflow: hidden; background: var(--line); }
.bar span { min-width: 1px; } .key { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin-right: .35em; }
.keys { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .875rem; padding: 0; list-style: none; }
.waterfall { display: grid; grid-template-columns: minmax(7rem, auto) 1fr auto; gap: .15rem .75rem; align-items: center; font-size: .875rem; }
.waterfall i { display: block; height: .9rem; border-radius: .15rem; }
.u-legend { color: var(--ink); font-size: .8rem; }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
`;

export const COLOURS = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#d55e00',
  '#56b4e9',
  '#b8a800',
  '#7f7f7f',
] as const;
