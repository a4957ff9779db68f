/** A comparison as a picture: a bar for each contestant, and how far its repetitions lie apart. */
import { BarChart, CustomChart, type CustomSeriesOption } from 'echarts/charts';
import { GridComponent, TitleComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { ReportedComparison } from './report.js';
import { figureText } from './text.js';

use([BarChart, CustomChart, GridComponent, TitleComponent, SVGRenderer]);

const WIDTH = 760;
const BAR_HEIGHT = 34;
const HEAD_HEIGHT = 56;
const FOOT_HEIGHT = 48;
const SIDE = 12;
/** Room for the figures behind the longest bar. */
const FIGURES_WIDTH = 200;
/** Where the largest bar is so many times the smallest, small ones need a logarithmic axis. */
const LOGARITHMIC_FROM = 20;
const FIRST_COLOUR = '#2f6f9f';
const OTHERS_COLOUR = '#a9b4bd';
const INK = '#24292f';
const WHISKER_HALF = 5;
const FIGURES_GAP = 8;

type Figures = ReportedComparison['figures'];

/** The picture, as SVG. */
export function plotOf({ title, unit, figures }: ReportedComparison): string {
  const height = HEAD_HEIGHT + FOOT_HEIGHT + figures.length * BAR_HEIGHT;
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { color: INK, fontFamily: 'sans-serif' },
    title: { text: title, left: SIDE, top: SIDE, textStyle: { fontSize: 14, color: INK } },
    grid: {
      left: SIDE,
      right: FIGURES_WIDTH,
      top: HEAD_HEIGHT,
      bottom: FOOT_HEIGHT,
      outerBoundsMode: 'same',
      outerBoundsContain: 'axisLabel',
    },
    xAxis: { ...axisOf(figures, unit), nameLocation: 'middle', nameGap: 28 },
    yAxis: { type: 'category', inverse: true, data: figures.map(({ of }) => of) },
    series: [
      {
        type: 'bar',
        data: figures.map(({ median }, at) => ({
          value: median,
          itemStyle: { color: at === 0 ? FIRST_COLOUR : OTHERS_COLOUR },
        })),
      },
      whiskersOf(figures, unit),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function axisOf(figures: Figures, unit: string): object {
  const smallest = Math.min(...figures.map(({ low }) => low));
  const largest = Math.max(...figures.map(({ high }) => high));
  if (smallest <= 0 || largest / smallest < LOGARITHMIC_FROM) return { type: 'value', name: unit };
  const min = 10 ** Math.floor(Math.log10(smallest));
  return { type: 'log', name: `${unit}, logarithmic`, min, startValue: min };
}

/** A line from the lowest value to the highest, and the figures behind it. */
function whiskersOf(figures: Figures, unit: string): CustomSeriesOption {
  return {
    type: 'custom',
    data: figures.map(({ low, high }, at) => [at, low, high]),
    encode: { x: [1, 2], y: 0 },
    z: 3,
    renderItem: ({ dataIndex }, api) => {
      const figure = figures[dataIndex];
      if (figure === undefined) return null;
      const [left = 0, y = 0] = api.coord([figure.low, dataIndex]);
      const [right = 0] = api.coord([figure.high, dataIndex]);
      const line = (x1: number, x2: number, half: number) => ({
        type: 'line' as const,
        shape: { x1, x2, y1: y - half, y2: y + half },
        style: { stroke: INK, lineWidth: 1 },
      });
      const text = figureText(figure, unit);
      return {
        type: 'group',
        children: [
          line(left, right, 0),
          line(left, left, WHISKER_HALF),
          line(right, right, WHISKER_HALF),
          {
            type: 'text',
            style: { x: right + FIGURES_GAP, y, text, fill: INK, verticalAlign: 'middle' },
          },
        ],
      };
    },
  };
}
