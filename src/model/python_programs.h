// Programs for Python as text: its -c takes them, so that they need no place on disk. Written by
// cmake/folders.cmake from the files of these names.
#pragma once

namespace dovetail::model {

extern const char* const kChatTemplateProcess;  // chat_template_process.py
extern const char* const kHubQuestions;         // hub_questions.py

}  // namespace dovetail::model
