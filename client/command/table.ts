import {stripVTControlCharacters} from 'node:util';

/** Columns under their headings, as wide as their widest cell; the last one as it is. Each line ends with a newline. */
export function alignedTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
	const lines = [headings, ...rows.map(row => row.map(safeCell))];
	const widths = headings.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0)));
	return lines.map(line => `${line.map((cell, column) => column === line.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join('  ')}\n`).join('');
}

/** A line for each row, its cells between tabs, without headings: what `cut -f` reads. */
export function plainTable(rows: readonly (readonly string[])[]): string {
	return rows.map(row => `${row.map(safeCell).join('\t')}\n`).join('');
}

// Names and labels come from strangers: they must neither move a cursor nor break a line.
function safeCell(cell: string): string {
	// eslint-disable-next-line no-control-regex
	return stripVTControlCharacters(cell).replaceAll(/[\u0000-\u001F\u007F]/g, '?');
}
