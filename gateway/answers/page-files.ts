import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A file of the status page. */
export interface PageFile {
  readonly path: string;
  readonly contentType: string;
  readonly content: string;
}

/** The status page and its assets. */
export function loadPage(): PageFile[] {
  const folder = join(packageFolder(), 'answers', 'page');
  const file = (path: string, name: string, contentType: string): PageFile => ({
    path,
    contentType: `${contentType}; charset=utf-8`,
    content: readFileSync(join(folder, name), 'utf8'),
  });
  return [
    file('/', 'page.html', 'text/html'),
    file('/assets/page.css', 'page.css', 'text/css'),
    file('/assets/page.js', 'page.js', 'text/javascript'),
  ];
}

/** The page's files are no TypeScript, so they stay with the sources, whether this runs from there or from dist/. */
function packageFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json above ${import.meta.dirname}`);
    folder = parent;
  }
  return folder;
}
