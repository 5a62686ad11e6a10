import { COLOURS } from './page-style.ts';

/** Runs in the reader's browser, after uPlot: draws each chart into its figure, again when the colours or the width change. */
export const PAGE_SCRIPT: string = `
(() => {
  const charts = JSON.parse(document.getElementById('charts').textContent);
  const colours = ${JSON.stringify(COLOURS)};
  const drawn = new Map();
  const show = (value) => value == null ? '–' : Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(+value.toPrecision(3));
  const percentile = (nines) => {
    const share = 100 * (1 - 10 ** -nines);
    return +share.toFixed(Math.max(0, Math.ceil(nines) - 1)) + ' %';
  };
  const draw = (figure) => {
    const chart = charts[+figure.dataset.chart];
    const style = getComputedStyle(document.documentElement);
    const [ink, line] = [style.getPropertyValue('--soft'), style.getPropertyValue('--line')];
    const axis = (label, more) => ({ label, stroke: ink, labelSize: 26, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, ...more });
    const nines = chart.xKind === 'nines';
    const log = chart.yKind === 'log';
    drawn.get(figure)?.destroy();
    const plot = new uPlot({
      width: figure.clientWidth - 24,
      height: 280,
      scales: { x: { time: false }, y: log ? { distr: 3, log: 10 } : { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
      axes: [
        axis(chart.xLabel, nines ? { splits: () => [0, 1, 2, 3, 4, 5].filter((nine) => nine <= chart.x.at(-1)), values: (_, at) => at.map(percentile) } : {}),
        axis(chart.yLabel, { size: 64, values: (_, at) => at.map((value) => value == null || (log && !/^1e/.test(value.toExponential())) ? '' : show(value)) }),
      ],
      series: [
        { label: chart.xLabel, value: (_, value) => value == null ? '–' : nines ? percentile(value) : show(value) },
        ...chart.series.map(({ label, draw }, index) => ({
          label,
          stroke: draw === 'faint' ? ink : colours[index % colours.length],
          width: draw === 'points' ? 0 : draw === 'faint' ? 1 : 2,
          dash: draw === 'faint' ? [4, 4] : undefined,
          paths: draw === 'points' ? () => null : undefined,
          points: draw === 'points' ? { show: true, size: 9, fill: colours[index % colours.length] } : { show: chart.x.length < 40 && draw === 'line' },
          spanGaps: draw !== 'points',
          value: (_, value) => show(value),
        })),
      ],
    }, [chart.x, ...chart.series.map(({ values }) => values)], figure);
    drawn.set(figure, plot);
  };
  const figures = [...document.querySelectorAll('figure[data-chart]')];
  const all = () => figures.forEach(draw);
  all();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', all);
  let waiting;
  addEventListener('resize', () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });
  document.documentElement.dataset.drawn = String(figures.length);
})();
`;
