import { basename } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Minutes each; a file that is not named takes less. */
const LONG = ['clients', 'recovery', 'commands', 'during-a-run', 'tutorial', 'after-a-verdict'];

/** Of the files that run side by side the long ones start first, so that none of them is left for the end. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = LONG.indexOf(basename(moduleId, '.test.ts'));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
